// Thread blocks of a cluster (sm_90 on), which store to each other's shared memory.
#pragma once

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

__device__ __forceinline__ int cluster_rank() {
  int rank = 0;
#if __CUDA_ARCH__ >= 900
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}

// Behind it all blocks of the cluster run, and know each other's arrival barriers. What was written
// before is visible to the own block alone.
__device__ __forceinline__ void cluster_begins() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// The address of `p`, in this block's shared memory, in that of another.
__device__ __forceinline__ uint32_t address_in([[maybe_unused]] int block, const void* p) {
  uint32_t there = shared_address(p);
#if __CUDA_ARCH__ >= 900
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(shared_address(p)), "r"(block));
#endif
  return there;
}

// Stores to another block, where an arrival barrier counts the bytes: whoever waits for its phase
// sees them. No fence of the storing block is needed.
__device__ __forceinline__ void store_async(uint32_t to, float v, uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];" ::"r"(to),
      "f"(v), "r"(barrier)
      : "memory");
#endif
}
__device__ __forceinline__ void store_async(uint32_t to, const uint4& v, uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(to),
      "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"(barrier)
      : "memory");
#endif
}

}  // namespace posemamba::cuda
