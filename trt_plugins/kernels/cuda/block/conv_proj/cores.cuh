// Packed weights on their way to shared memory, where they become core matrices (wgmma.cuh).
#pragma once

#include "cuda/block/wgmma.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// A thread's share of `columns` packed columns of `inputs` inputs: column n becomes the
// place(n)th of `outputs` outputs.
template <int Inputs, class Place>
__device__ __forceinline__ void load_cores(unsigned char* to, const void* projection, int columns,
                                           int outputs, int thread, int threads, Place&& place) {
  constexpr int kSteps = Inputs / 16;
  const auto* packed = static_cast<const uint4*>(projection);
  const int lane = thread % 32;
  const int tiles = columns / 16 * kSteps;
#pragma unroll 5
  for (int tile = thread / 32; tile < tiles; tile += threads / 32) {
    const int n = place(tile / kSteps * 16 + lane / 16 * 8 + lane % 8);
    const int k8 = tile % kSteps * 2 + lane / 8 % 2;
    store_matrices(to + (k8 * outputs + n) * 16, __ldg(packed + tile * 32 + lane));
  }
}

}  // namespace posemamba::cuda
