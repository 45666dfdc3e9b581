// A typed launch of a kernel that takes one struct. Tests that run kernels on a CPU have another
// (tests/support/cuda_on_cpu).
#pragma once

#include "cuda/device/launch.h"

namespace posemamba::cuda {

// `overlap` is launch's.
template <class Args>
cudaError_t start(void (*kernel)(Args), dim3 grid, dim3 threads, const Args& args, bool overlap,
                  const Device& device, cudaStream_t stream, std::size_t shared = 0) {
  void* pointers[] = {const_cast<Args*>(&args)};
  return launch(reinterpret_cast<const void*>(kernel), grid, threads, pointers, overlap, device,
                stream, shared);
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
