// How B and C come into a stage. The tests that run the kernels on a CPU have another file in this
// one's place (tests/support/cuda_on_cpu).
#pragma once

#include "cuda/device/copy_async.cuh"
#include "cuda/scan/one_pass.cuh"

namespace posemamba::cuda::split_channel {

#if __CUDA_ARCH__ >= 900
constexpr bool kBulkCopies = true;
#else
constexpr bool kBulkCopies = false;
#endif

__device__ __forceinline__ void barriers_ready() { bulk_barriers_ready(); }

// What a copy by so many warps adds to the arrivals of its barrier.
template <int Warps>
__device__ __forceinline__ constexpr int copy_arrivals() {
  return kBulkCopies ? 1 : 32 * Warps;
}

// Copies `floats` of B and C, a multiple of 128, asynchronously; `full` completes after they have
// arrived. One bulk copy where the GPU has it, else 16 bytes a thread and turn.
template <int Warps>
__device__ __forceinline__ void copy_states(float* to, const float* from, int floats, int thread,
                                            uint64_t* full) {
#if __CUDA_ARCH__ >= 900
  if (thread == 0) bulk_copy(to, from, floats * static_cast<int>(sizeof(float)), full);
#else
  for (int i = thread * 4; i < floats; i += 128 * Warps) copy_async(to + i, from + i);
  copies_arrive(full);
#endif
}

}  // namespace posemamba::cuda::split_channel
