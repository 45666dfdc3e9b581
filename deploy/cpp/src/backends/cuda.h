// The few functions of the CUDA driver that the back ends need, from libcuda.so.1 opened at run
// time. A process without a GPU, or with a CUDA runtime of any release, is none the worse for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/library.h"

namespace posemamba::runtime {

namespace cuda {
struct Context;
struct Stream;
struct Graph;
struct GraphExec;
using Device = int;
using Address = unsigned long long;
}  // namespace cuda

// Name, result (0: success), parameters; names are the driver's, with their version suffix.
#define POSEMAMBA_CUDA_FUNCTIONS(X)                                                           \
  X(cuInit, (unsigned flags))                                                                 \
  X(cuDriverGetVersion, (int* version))                                                       \
  X(cuDeviceGetCount, (int* count))                                                           \
  X(cuDeviceGet, (cuda::Device * device, int ordinal))                                        \
  X(cuDeviceGetName, (char* name, int length, cuda::Device device))                           \
  X(cuDeviceGetAttribute, (int* value, int attribute, cuda::Device device))                   \
  X(cuDevicePrimaryCtxRetain, (cuda::Context * *context, cuda::Device device))                \
  X(cuDevicePrimaryCtxRelease_v2, (cuda::Device device))                                      \
  X(cuCtxPushCurrent_v2, (cuda::Context * context))                                           \
  X(cuCtxPopCurrent_v2, (cuda::Context * *context))                                           \
  X(cuMemAlloc_v2, (cuda::Address * address, size_t bytes))                                   \
  X(cuMemFree_v2, (cuda::Address address))                                                    \
  X(cuMemHostAlloc, (void** pointer, size_t bytes, unsigned flags))                           \
  X(cuMemFreeHost, (void* pointer))                                                           \
  X(cuMemcpyHtoDAsync_v2,                                                                     \
    (cuda::Address to, const void* from, size_t bytes, cuda::Stream* stream))                 \
  X(cuMemcpyDtoHAsync_v2, (void* to, cuda::Address from, size_t bytes, cuda::Stream* stream)) \
  X(cuStreamCreate, (cuda::Stream * *stream, unsigned flags))                                 \
  X(cuStreamDestroy_v2, (cuda::Stream * stream))                                              \
  X(cuStreamSynchronize, (cuda::Stream * stream))                                             \
  X(cuStreamBeginCapture_v2, (cuda::Stream * stream, int mode))                               \
  X(cuStreamEndCapture, (cuda::Stream * stream, cuda::Graph * *graph))                        \
  X(cuGraphInstantiateWithFlags,                                                              \
    (cuda::GraphExec * *exec, cuda::Graph * graph, unsigned long long flags))                 \
  X(cuGraphLaunch, (cuda::GraphExec * exec, cuda::Stream * stream))                           \
  X(cuGraphExecDestroy, (cuda::GraphExec * exec))                                             \
  X(cuGraphDestroy, (cuda::Graph * graph))

// The driver and one GPU: its primary context, as the CUDA runtime of TensorRT and ONNX Runtime
// uses it too.
class Cuda {
 public:
  // Throws Failure(PM_MISSING): no driver, no GPU, no such GPU.
  explicit Cuda(int ordinal);
  ~Cuda();
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;

  const std::string& name() const { return name_; }
  // Compute capability times 10, such as 87.
  int architecture() const { return architecture_; }
  int driver_version() const { return driver_version_; }

  // Throws Failure(PM_BACKEND_FAILED) for a result that is no success.
  void check(int result, const char* call) const;

  // Makes the context current on this thread for as long as it lives.
  class Scope {
   public:
    explicit Scope(const Cuda& device);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const Cuda& cuda_;
  };

#define POSEMAMBA_CUDA_POINTER(name, parameters) int(*name) parameters = nullptr;
  POSEMAMBA_CUDA_FUNCTIONS(POSEMAMBA_CUDA_POINTER)
#undef POSEMAMBA_CUDA_POINTER

 private:
  Library library_;
  cuda::Device device_ = 0;
  cuda::Context* context_ = nullptr;
  std::string name_;
  int architecture_ = 0, driver_version_ = 0;
};

// A stream, and the memory one run of the network needs: page-locked on the host, and on the GPU.
class CudaBuffers {
 public:
  explicit CudaBuffers(std::shared_ptr<Cuda> cuda);
  ~CudaBuffers();
  CudaBuffers(const CudaBuffers&) = delete;
  CudaBuffers& operator=(const CudaBuffers&) = delete;

  // Room for so many frames; true if the addresses changed.
  bool reserve(int64_t frames);
  float* host_input() const { return host_input_; }
  float* host_output() const { return host_output_; }
  void* input() const { return reinterpret_cast<void*>(input_); }
  void* output() const { return reinterpret_cast<void*>(output_); }
  cuda::Stream* stream() const { return stream_; }

  void copy_in(int64_t frames);
  void copy_out(int64_t frames);
  void wait() const;

 private:
  void release();

  std::shared_ptr<Cuda> cuda_;
  cuda::Stream* stream_ = nullptr;
  int64_t frames_ = 0;
  float *host_input_ = nullptr, *host_output_ = nullptr;
  cuda::Address input_ = 0, output_ = 0;
};

}  // namespace posemamba::runtime
