#include "runtime.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <mutex>

namespace harness {

std::string plugin_path;
std::string cuda_path;

namespace {

Release pretended = kUsualRelease;
std::mutex log_mutex;
std::vector<std::pair<int32_t, std::string>> log_lines;

void append(int32_t severity, const char* message) {
  const std::lock_guard<std::mutex> lock(log_mutex);
  log_lines.emplace_back(severity, message);
}

// ILogger and ILoggerFinder as TensorRT 10.x and TensorRT-RTX up to 1.4 declare them.
struct PlainLogger {
  virtual void log(int32_t severity, const char* message) noexcept { append(severity, message); }
  virtual ~PlainLogger() = default;
};
struct PlainFinder {
  PlainLogger logger;
  virtual PlainLogger* findLogger() { return &logger; }
  virtual ~PlainFinder() = default;
};

// As TensorRT 11 and TensorRT-RTX from 1.5 do: two functions and the destructors come first.
struct Versioned {
  virtual int32_t getAPILanguage() const noexcept { return 0; }
  virtual nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept { return {"", 1, 0}; }
  virtual ~Versioned() = default;
};
struct VersionedLogger : Versioned {
  virtual void log(int32_t severity, const char* message) noexcept { append(severity, message); }
};
struct VersionedFinder : Versioned {
  VersionedLogger logger;
  virtual VersionedLogger* findLogger() { return &logger; }
};

PlainFinder plain_finder;
VersionedFinder versioned_finder;

}  // namespace

void pretend(Release release) { pretended = release; }

Library::Library(const std::string& path, Finder finder)
    : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    std::printf("%s\n", dlerror());
    return;
  }
  using SetFinder = void (*)(void*);
  using GetCreators = nvinfer1::IPluginCreatorInterface* const* (*)(int32_t&);
  const auto set_finder = reinterpret_cast<SetFinder>(dlsym(handle_, "setLoggerFinder"));
  const auto get_creators = reinterpret_cast<GetCreators>(dlsym(handle_, "getCreators"));
  if (set_finder == nullptr || get_creators == nullptr) return;
  void* of_release = pretended.versioned() ? static_cast<void*>(&versioned_finder)
                                           : static_cast<void*>(&plain_finder);
  if (finder != Finder::kNeverSet) set_finder(finder == Finder::kGiven ? of_release : nullptr);
  creators_ = get_creators(count_);
}

Library::~Library() {
  if (handle_ != nullptr) dlclose(handle_);
}

nvinfer1::IPluginCreatorV3One* Library::creator(const std::string& name,
                                                const std::string& version) const {
  for (int32_t i = 0; i < count_; ++i) {
    auto* one = static_cast<nvinfer1::IPluginCreatorV3One*>(creators_[i]);
    if (name == one->getPluginName() && version == one->getPluginVersion()) return one;
  }
  return nullptr;
}

std::vector<std::string> take_log(int32_t severity) {
  const std::lock_guard<std::mutex> lock(log_mutex);
  std::vector<std::string> lines;
  for (const auto& [level, line] : log_lines) {
    if (level == severity) lines.push_back(line);
  }
  log_lines.clear();
  return lines;
}

std::string capture_stderr(const std::function<void()>& run) {
  std::FILE* file = std::tmpfile();
  const int kept = dup(STDERR_FILENO);
  std::fflush(stderr);
  dup2(fileno(file), STDERR_FILENO);
  run();
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  std::string text(4096, '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

bool one_error_saying(const std::string& word, std::string* errors) {
  const std::vector<std::string> lines = take_log();
  *errors = "errors logged:";
  for (const std::string& line : lines) *errors += "\n  " + line;
  return lines.size() == 1 && lines[0].find(word) != std::string::npos &&
         lines[0].rfind("posemamba: ", 0) == 0 && lines[0].find('\n') == std::string::npos;
}

}  // namespace harness

// The C functions of TensorRT's library that a plugin may look up; exported by this program.
extern "C" {
TENSORRTAPI int32_t getInferLibMajorVersion() noexcept { return harness::pretended.major; }
TENSORRTAPI int32_t getInferLibMinorVersion() noexcept { return harness::pretended.minor; }
TENSORRTAPI nvinfer1::ILogger* getLogger() noexcept {
  void* logger = harness::pretended.versioned()
                     ? static_cast<void*>(&harness::versioned_finder.logger)
                     : static_cast<void*>(&harness::plain_finder.logger);
  return static_cast<nvinfer1::ILogger*>(logger);
}
}
