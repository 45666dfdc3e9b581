// Copies from global to shared memory that pass no register: of 16 bytes a thread (sm_80 on), and
// of whole stages by one thread (sm_90 on).
#pragma once

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

// Both addresses on 16 bytes. A thread's copies are complete after its `copies_done`, visible to
// others behind the next barrier.
__device__ __forceinline__ void copy_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
               : "memory");
}

// Waits for all copies of the calling thread.
__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Arrives at the barrier, on the thread's behalf, once all its copies so far are complete: whoever
// waits for that phase sees them. The arrival is one of those the barrier was made for (`noinc`).
__device__ __forceinline__ void copies_arrive(uint64_t* barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// Makes initialised barriers known to the engine that does bulk copies.
__device__ __forceinline__ void bulk_barriers_ready() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Copies `bytes`, a multiple of 16 on 16 bytes, and is one arrival at the barrier, whose phase also
// waits for the bytes.
__device__ __forceinline__ void bulk_copy(void* to, const void* from, int bytes,
                                          uint64_t* barrier) {
#if __CUDA_ARCH__ >= 900
  barrier_expect(barrier, bytes);
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
#endif
}

}  // namespace posemamba::cuda
