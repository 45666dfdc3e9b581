// ONNX Runtime, found and opened: its table of functions, its environment, its errors as ours.
#pragma once

#include <string>

#include "core/library.h"
#include "onnxruntime/ort_api.h"
#include "posemamba/runtime/lifter.h"

namespace posemamba::runtime {

class OrtLibrary {
 public:
  // given: its path, or null to search. Throws Failure.
  explicit OrtLibrary(const char* given);

  const ort::Api* api() const { return api_; }
  const std::string& path() const { return library_.path(); }
  const std::string& version() const { return version_; }

  bool has_provider(const char* name) const;

  // Turns a status into a Failure of `code`: "<subject> (<what ONNX Runtime said>): <fix>".
  void check(ort::Status* status, pm_result code, const std::string& subject,
             const char* fix) const;
  // What went wrong, and forgets the status.
  std::string take_message(ort::Status* status, int* code) const;

 private:
  Library library_;
  std::string version_;
  const ort::Api* api_;
};

// Something of ONNX Runtime that has a Release function.
template <class T, auto Release>
class OrtOwned {
 public:
  explicit OrtOwned(const ort::Api* api) : api_(api) {}
  OrtOwned(OrtOwned&& other) noexcept : api_(other.api_), value_(other.value_) {
    other.value_ = nullptr;
  }
  OrtOwned& operator=(OrtOwned&&) = delete;
  ~OrtOwned() {
    if (value_ != nullptr) Release(api_, value_);
  }
  T* get() const { return value_; }
  T** out() { return &value_; }

 private:
  const ort::Api* api_;
  T* value_ = nullptr;
};

using OrtSession = OrtOwned<ort::Session, &ort::ReleaseSession<ort::Session*>>;
using OrtSessionOptions =
    OrtOwned<ort::SessionOptions, &ort::ReleaseSessionOptions<ort::SessionOptions*>>;
using OrtRunOptions = OrtOwned<ort::RunOptions, &ort::ReleaseRunOptions<ort::RunOptions*>>;
using OrtValue = OrtOwned<ort::Value, &ort::ReleaseValue<ort::Value*>>;
using OrtMemoryInfo = OrtOwned<ort::MemoryInfo, &ort::ReleaseMemoryInfo<ort::MemoryInfo*>>;
using OrtTypeInfo = OrtOwned<ort::TypeInfo, &ort::ReleaseTypeInfo<ort::TypeInfo*>>;
using OrtMetadata = OrtOwned<ort::ModelMetadata, &ort::ReleaseModelMetadata<ort::ModelMetadata*>>;
using OrtBinding = OrtOwned<ort::IoBinding, &ort::ReleaseIoBinding<ort::IoBinding*>>;
using OrtCudaOptions =
    OrtOwned<ort::CudaOptions, &ort::ReleaseCUDAProviderOptions<ort::CudaOptions*>>;

}  // namespace posemamba::runtime
