// What stands in for TensorRT's runtime library: a release number, a log, and a plugin loader.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace harness {

// Paths from the command line.
extern std::string plugin_path;  // libposemamba_trt.so
extern std::string cuda_path;    // libposemamba_cuda.so: the launchers, in a build of their own

// What getInferLibMajorVersion() and getInferLibMinorVersion() of this process answer.
struct Release {
  int32_t major;
  int32_t minor;
  // Whether that release's ILogger and ILoggerFinder derive from IVersionedInterface.
  bool versioned() const { return major == 1 ? minor >= 5 : major >= 11 || major < 8; }
};
constexpr Release kUsualRelease{10, 14};
void pretend(Release release);

enum class Finder { kGiven, kNull, kNeverSet };

// A loaded plugin library after the registry's calls: setLoggerFinder, then getCreators.
class Library {
 public:
  explicit Library(const std::string& path = plugin_path, Finder finder = Finder::kGiven);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  bool loaded() const { return handle_ != nullptr; }
  int32_t count() const { return count_; }
  nvinfer1::IPluginCreatorInterface* at(int32_t i) const { return creators_[i]; }
  nvinfer1::IPluginCreatorV3One* creator(const std::string& name,
                                         const std::string& version = "1") const;  // null: none

 private:
  void* handle_;
  int32_t count_ = 0;
  nvinfer1::IPluginCreatorInterface* const* creators_ = nullptr;
};

// Lines logged since the last call, any thread's, oldest first, of one severity.
constexpr int32_t kError = 1;
constexpr int32_t kVerbose = 4;
std::vector<std::string> take_log(int32_t severity = kError);

// What `run` writes to standard error.
std::string capture_stderr(const std::function<void()>& run);

// The errors since the last call as one text, and whether there is exactly one that has `word`.
bool one_error_saying(const std::string& word, std::string* errors);

}  // namespace harness
