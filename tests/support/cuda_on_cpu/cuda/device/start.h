// In the place of trt_plugins/kernels/cuda/device/start.h: the kernel runs here and now.
#pragma once

#include "cuda/device/launch.h"
#include "emulator.h"

namespace posemamba::cuda {

template <class Args>
cudaError_t start(void (*kernel)(Args), dim3 grid, dim3 threads, const Args& args, bool,
                  const Device& device, cudaStream_t, std::size_t shared = 0) {
  if (shared > device.shared_bytes) return cudaErrorNotSupported;
  struct Call {
    void (*kernel)(Args);
    const Args& args;
  } call{kernel, args};
  return cuda_on_cpu::run(
      grid, threads, shared,
      [](const void* c) {
        const Call& one = *static_cast<const Call*>(c);
        one.kernel(one.args);
      },
      &call);
}

template <class Args>
cudaError_t start(void (*kernel)(Args), dim3 grid, int threads, const Args& args,
                  const Device& device, cudaStream_t stream, std::size_t shared = 0) {
  return start(kernel, grid, dim3(static_cast<unsigned>(threads)), args, false, device, stream,
               shared);
}

template <class Args>
cudaError_t start(void (*kernel)(Args), int64_t blocks, int threads, const Args& args,
                  const Device& device, cudaStream_t stream, std::size_t shared = 0) {
  return start(kernel, dim3(static_cast<unsigned>(blocks)), threads, args, device, stream, shared);
}

}  // namespace posemamba::cuda
