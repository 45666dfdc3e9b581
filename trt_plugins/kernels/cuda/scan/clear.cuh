// How a kernel clears memory.
#pragma once

#include <cuda_runtime.h>

#include "cuda/scan/clear.h"

namespace posemamba::cuda {

// The calling thread's words, of all of the grid's. Blocks are rows of threads.
__device__ __forceinline__ void clear_share(const Clear& clear) {
  const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t threads = int64_t{gridDim.z} * gridDim.y * gridDim.x * blockDim.x;
  for (int64_t i = block * blockDim.x + threadIdx.x; i < clear.words; i += threads) {
    static_cast<uint4*>(clear.memory)[i] = make_uint4(~0u, ~0u, ~0u, ~0u);
  }
}

}  // namespace posemamba::cuda
