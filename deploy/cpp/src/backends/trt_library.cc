#include "backends/trt_library.h"

#include <cstring>
#include <mutex>

#include "core/failure.h"
#include "core/file.h"

namespace posemamba::runtime {
namespace {

constexpr const char* kPluginName = "CrossSelectiveScan";
constexpr const char* kPluginNamespace = "posemamba";
constexpr int32_t kError = 1;  // ILogger::Severity: what is at most this is an error

std::mutex message_mutex;
char message[1024] = "";

void keep(int32_t severity, const char* text) {
  if (severity > kError || text == nullptr) return;
  const std::lock_guard<std::mutex> lock(message_mutex);
  std::strncpy(message, text, sizeof message - 1);
}

// ILogger as it was until TensorRT 10, and as it is since 11.
class PlainLogger {
 public:
  virtual void log(int32_t severity, const char* text) noexcept { keep(severity, text); }
  virtual ~PlainLogger() = default;
};

class VersionedLogger {
 public:
  struct Info {
    const char* kind;
    int32_t major, minor;
  };
  virtual int32_t language() const noexcept { return 0; }  // C++
  virtual Info info() const noexcept { return {"ILogger", 1, 0}; }
  virtual ~VersionedLogger() = default;
  virtual void log(int32_t severity, const char* text) noexcept { keep(severity, text); }
};

// Never destroyed: TensorRT keeps the first one it was given.
void* logger(const trt::Places& places) {
  static auto* plain = new PlainLogger;
  static auto* versioned = new VersionedLogger;
  return places.logger_log == 0 ? static_cast<void*>(plain) : static_cast<void*>(versioned);
}

// Releases whose virtual tables are known; null for the others.
const trt::Places* places_of(const TrtFlavour& flavour, int major, int minor) {
  // TensorRT-RTX has the tables of TensorRT 11; seen in 1.7, whose own Python module calls them.
  if (&flavour == &kTensorRtRtx) return major == 1 && minor >= 7 ? &trt::kPlaces11 : nullptr;
  if (major == 10 && minor >= 3) return &trt::kPlaces10;
  return major == 11 ? &trt::kPlaces11 : nullptr;
}

std::vector<std::string> names(const TrtFlavour& flavour, int preferred) {
  const std::string stem = flavour.stem;
  if (&flavour == &kTensorRtRtx) return {stem + ".1", stem};
  const std::string newest = stem + ".11";
  const std::string older = stem + ".10";
  return preferred == 10 ? std::vector{older, newest, stem} : std::vector{newest, older, stem};
}

}  // namespace

const TrtFlavour kTensorRt = {
    "tensorrt", "TensorRT", kPlanStart, "libnvinfer.so",
    "install TensorRT 10.3 or later (part of JetPack), or name the file with runtime_library"};
const TrtFlavour kTensorRtLean = {
    "tensorrt-lean", "the lean runtime of TensorRT", kPlanStart, "libnvinfer_lean.so",
    "install it (pip install tensorrt-lean), set POSEMAMBA_LIBRARY_PATH to its folder, or name the "
    "file with runtime_library"};
const TrtFlavour kTensorRtRtx = {
    "tensorrt-rtx", "TensorRT-RTX", kRtxPlanStart, "libtensorrt_rtx.so",
    "install it (pip install tensorrt-rtx-cu13), set POSEMAMBA_LIBRARY_PATH to its folder, or name "
    "the file with runtime_library"};

TrtLibrary::TrtLibrary(const TrtFlavour& flavour, const char* given, int preferred)
    : flavour_(flavour),
      library_(Library::search(given, flavour.stem, names(flavour, preferred),
                               (std::string(flavour.title) + " (" + flavour.stem + ")").c_str(),
                               flavour.fix)) {
  using Number = int32_t (*)();
  const int major = library_.symbol<Number>("getInferLibMajorVersion")();
  const int minor = library_.symbol<Number>("getInferLibMinorVersion")();
  const int patch = library_.symbol<Number>("getInferLibPatchVersion")();
  number_ = library_.symbol<Number>("getInferLibVersion")();
  version_ = text("%d.%d.%d", major, minor, patch);
  places_ = places_of(flavour, major, minor);
  if (places_ == nullptr) {
    fail(PM_MISMATCH,
         "'%s' is %s %s, this library knows TensorRT 10.3 to 11.x and TensorRT-RTX 1.7 to 1.x: "
         "install "
         "one of these, or a later release of this library",
         path().c_str(), flavour.title, version_.c_str());
  }
}

const void* TrtLibrary::registry() const {
  const void* found = library_.symbol<const void* (*)()>("getPluginRegistry")();
  if (found == nullptr) {
    fail(PM_BACKEND_FAILED, "'%s' has no registry of plugins: install it again", path().c_str());
  }
  return found;
}

bool TrtLibrary::has_plugins() const {
  return trt::call<const void*>(registry(), places_->registry_get_creator, kPluginName,
                                kPluginVersion, kPluginNamespace) != nullptr;
}

void TrtLibrary::load_plugins(const std::string& path) const {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (has_plugins()) return;  // by us or by the program; a second time is refused by TensorRT
  forget_message();
  trt::call<const void*>(registry(), places_->registry_load_library, path.c_str());
  if (has_plugins()) return;
  fail(PM_MISMATCH,
       "'%s' gives %s %s no plugin %s of version %s (%s): use the plugin library of the release "
       "that built the engine",
       path.c_str(), flavour_.title, version_.c_str(), kPluginName, kPluginVersion,
       last_message().c_str());
}

void* TrtLibrary::create_runtime() const {
  using Create = void* (*)(void* logger, int32_t version);
  forget_message();
  void* runtime = library_.symbol<Create>("createInferRuntime_INTERNAL")(logger(*places_), number_);
  // Where it fails, TensorRT 10 and 11 convert a null pointer to a base class and return the
  // offset.
  constexpr uintptr_t kLowest = 4096;
  if (reinterpret_cast<uintptr_t>(runtime) < kLowest) {
    fail(PM_BACKEND_FAILED, "%s %s does not start (%s): check that the GPU's driver fits it",
         flavour_.title, version_.c_str(), last_message().c_str());
  }
  return runtime;
}

std::string TrtLibrary::last_message() {
  const std::lock_guard<std::mutex> lock(message_mutex);
  return one_line(message);
}

void TrtLibrary::forget_message() {
  const std::lock_guard<std::mutex> lock(message_mutex);
  message[0] = '\0';
}

}  // namespace posemamba::runtime
