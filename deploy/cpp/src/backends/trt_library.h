// TensorRT, its lean runtime or TensorRT-RTX: found, opened, and asked for its release.
#pragma once

#include <string>

#include "backends/trt_abi.h"
#include "core/library.h"

namespace posemamba::runtime {

// Of the plugins, as the ONNX nodes name it.
constexpr const char* kPluginVersion = "1";
constexpr const char* kSecondPluginVersion = "2";

// A flavour of the library: its back end's name, what it is called, its files.
struct TrtFlavour {
  const char* backend;
  const char* title;
  const char* plan_start;  // of its engines
  const char* stem;
  const char* fix;
};

extern const TrtFlavour kTensorRt, kTensorRtLean, kTensorRtRtx;

class TrtLibrary {
 public:
  // Throws Failure(PM_MISSING, or PM_MISMATCH for a release whose tables nobody here has seen).
  // preferred: major release to look for first, or 0.
  TrtLibrary(const TrtFlavour& flavour, const char* given, int preferred);

  const TrtFlavour& flavour() const { return flavour_; }
  const trt::Places& places() const { return *places_; }
  const std::string& path() const { return library_.path(); }
  const std::string& version() const { return version_; }

  // Registers our plugins with the library's registry, once for each process.
  void load_plugins(const std::string& path) const;
  bool has_plugins() const;
  // A runtime; throws Failure(PM_BACKEND_FAILED).
  void* create_runtime() const;

  // The last error TensorRT logged in this process, as a part of a sentence.
  static std::string last_message();
  static void forget_message();

 private:
  const void* registry() const;

  const TrtFlavour& flavour_;
  Library library_;
  const trt::Places* places_ = nullptr;
  std::string version_;
  int32_t number_ = 0;
};

}  // namespace posemamba::runtime
