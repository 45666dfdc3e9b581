// An ONNX model opened in ONNX Runtime, whatever the provider: options, operators, sizes, metadata.
#pragma once

#include <memory>
#include <string>

#include "backends/backend.h"
#include "backends/ort_library.h"

namespace posemamba::runtime {

constexpr const char* kInputName = "keypoints_2d";
constexpr const char* kOutputName = "poses_3d";

// ONNX Runtime at work in this process, silent. Anything but its version asks for this first.
// Throws Failure.
//
// It is never released. With its last environment an ONNX Runtime shuts its CUDA provider down, and
// Python's onnxruntime, another ONNX Runtime in the process, has opened the same file: its sessions
// would lose their kernels, and crash.
ort::Env* start(const OrtLibrary& library);

class OrtModel {
 public:
  // cuda: null for the CPU. Throws Failure.
  OrtModel(const BackendRequest& request, std::shared_ptr<OrtLibrary> library,
           const ort::CudaOptions* cuda);

  const ort::Api* api() const { return library_->api(); }
  const OrtLibrary& library() const { return *library_; }
  ort::Session* session() const { return session_.get(); }
  const ModelFacts& facts() const { return facts_; }
  const std::string& op_library() const { return op_library_; }

  // A tensor over memory of the caller's.
  OrtValue tensor(const OrtMemoryInfo& where, void* data, int64_t batch, int64_t frames,
                  int64_t channels) const;
  OrtMemoryInfo memory(const char* name, int device) const;
  void run_failed_if(ort::Status* status, int64_t batch, int64_t frames) const;

 private:
  void open(const BackendRequest& request, const ort::CudaOptions* cuda);
  void explain(ort::Status* status) const;
  void check_side(bool input, int64_t (&sizes)[2]);
  void read_facts();

  std::shared_ptr<OrtLibrary> library_;
  OrtSession session_;
  ModelFacts facts_;
  std::string op_library_;
};

// With the CPU provider.
std::unique_ptr<Backend> open_ort_cpu(const BackendRequest& request,
                                      std::shared_ptr<OrtLibrary> library);
// With the CUDA provider.
std::unique_ptr<Backend> open_ort_cuda(const BackendRequest& request,
                                       std::shared_ptr<OrtLibrary> library);

}  // namespace posemamba::runtime
