// How B and C come into a stage. The tests that run the kernels on a CPU have another file in this
// one's place (tests/support/cuda_on_cpu).
#pragma once

#include "cuda/scan/one_pass.cuh"

namespace posemamba::cuda::split_channel {

#if __CUDA_ARCH__ >= 900
constexpr bool kBulkCopies = true;
#else
constexpr bool kBulkCopies = false;
#endif

// Makes initialised barriers known to the engine that does bulk copies.
__device__ __forceinline__ void barriers_ready() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Copies `floats` of B and C, a multiple of 128, asynchronously; `full` completes after they have
// arrived. One bulk copy where the GPU has it, else 16 bytes a thread and turn.
template <class C>
__device__ __forceinline__ void copy_states(float* to, const float* from, int floats, int thread,
                                            uint64_t* full) {
#if __CUDA_ARCH__ >= 900
  if (thread != 0) return;
  const int bytes = floats * static_cast<int>(sizeof(float));
  asm volatile("{.reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;}" ::"r"(
                   shared_address(full)),
               "r"(bytes)
               : "memory");
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(full))
      : "memory");
#else
  for (int i = thread * 4; i < floats; i += 128 * C::kConverters) copy_16(to + i, from + i);
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(shared_address(full))
               : "memory");
#endif
}

}  // namespace posemamba::cuda::split_channel
