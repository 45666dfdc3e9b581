#include "host.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

#include "api.h"

namespace posemamba::trt {
namespace {

using VersionFunction = int32_t (*)();
using LoggerFunction = void* (*)();

std::atomic<Release> runtime{Release{}};
std::atomic<LoggerFunction> runtime_logger{nullptr};
std::atomic<void*> runtime_finder{nullptr};

// ILogger and ILoggerFinder had one function of their own, at the head of the virtual table, until
// TensorRT 11.0 and TensorRT-RTX 1.5 made them derive from IVersionedInterface, whose four entries
// (getAPILanguage, getInterfaceInfo, two destructors) now come first. So that one build logs in
// every release, the function is called by its place in the table of the release that is running.
// -1 for an unknown or future release, whose tables nobody here has seen.
int function_slot(const Release& release) {
  constexpr int kPlain = 0;
  constexpr int kVersioned = 4;
  if (!release.known() || release.future()) return -1;
  if (release.rtx()) return release.minor >= 5 ? kVersioned : kPlain;
  return release.major >= 11 ? kVersioned : kPlain;
}

// A virtual call by slot, as the Itanium C++ ABI of every Linux compiler has it.
template <class Result, class... Arguments>
Result call_slot(void* object, int slot, Arguments... arguments) {
  using Function = Result (*)(void*, Arguments...);
  void* const* table = *static_cast<void* const* const*>(object);
  return reinterpret_cast<Function>(table[slot])(object, arguments...);
}

// The ILogger to use on this thread, or null.
void* find_logger(int slot) {
  void* finder = runtime_finder.load();
  void* logger = finder == nullptr ? nullptr : call_slot<void*>(finder, slot);
  const LoggerFunction get_logger = runtime_logger.load();
  return logger == nullptr && get_logger != nullptr ? get_logger() : logger;
}

void log(nvinfer1::ILogger::Severity severity, const char* format, va_list arguments) {
  char message[512];
  int used = std::snprintf(message, sizeof message, "posemamba: ");
  std::vsnprintf(message + used, sizeof message - static_cast<size_t>(used), format, arguments);
  const int slot = function_slot(runtime.load());
  void* logger = slot < 0 ? nullptr : find_logger(slot);
  if (logger != nullptr) {
    call_slot<void>(logger, slot, severity, static_cast<const char*>(message));
  } else if (severity == nvinfer1::ILogger::Severity::kERROR) {
    std::fprintf(stderr, "%s\n", message);
  }
}

}  // namespace

void adopt_runtime(const void* caller) {
  // The library that called; in a program that links TensorRT statically, the program itself.
  Dl_info info{};
  void* library = dladdr(caller, &info) != 0 && info.dli_fname != nullptr
                      ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD)
                      : nullptr;
  void* where = library == nullptr ? RTLD_DEFAULT : library;
  const auto major = reinterpret_cast<VersionFunction>(dlsym(where, "getInferLibMajorVersion"));
  const auto minor = reinterpret_cast<VersionFunction>(dlsym(where, "getInferLibMinorVersion"));
  if (major != nullptr && minor != nullptr) {
    runtime.store(Release{major(), minor()});
    runtime_logger.store(reinterpret_cast<LoggerFunction>(dlsym(where, "getLogger")));
  }
  if (library != nullptr) dlclose(library);  // gives back the reference dlopen took, no more
}

void adopt_finder(void* finder) { runtime_finder.store(finder); }

bool runtime_is_supported() {
  const Release release = runtime.load();
  if (!release.known() || release.supported()) return true;
  log_error(
      "these plugins run in TensorRT 10.3 to 11.x and TensorRT-RTX 1.x, and %s %d.%d has loaded "
      "them: use one of those, or a later pmexport; no plugin is registered",
      release.rtx() ? "TensorRT-RTX" : "TensorRT", release.major, release.minor);
  return false;
}

void log_error(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log(nvinfer1::ILogger::Severity::kERROR, format, arguments);
  va_end(arguments);
}

void log_verbose(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log(nvinfer1::ILogger::Severity::kVERBOSE, format, arguments);
  va_end(arguments);
}

}  // namespace posemamba::trt
