// 16-byte copies from global to shared memory that pass no register (sm_80 on).
#pragma once

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

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

}  // namespace posemamba::cuda
