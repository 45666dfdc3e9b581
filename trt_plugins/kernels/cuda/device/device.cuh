// Device helpers shared by the CUDA kernels: barriers, dependent launches, and the math.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device/math.cuh"

namespace posemamba::cuda {

// Arrival barriers in shared memory (PTX mbarrier): `arrive` releases the caller's earlier memory
// accesses to whoever waits for the phase it completes. Phases alternate in parity.
__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void barrier_init(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier) {
  asm volatile(
      "{.reg .b64 state; mbarrier.arrive.shared.b64 state, [%0];}" ::"r"(shared_address(barrier))
      : "memory");
}
// The same, and the phase waits for so many bytes of asynchronous copies or stores too.
__device__ __forceinline__ void barrier_expect(uint64_t* barrier, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("{.reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;}" ::"r"(
                   shared_address(barrier)),
               "r"(bytes)
               : "memory");
#endif
}
// Whether the phase of that parity is complete.
__device__ __forceinline__ bool barrier_test(uint64_t* barrier, uint32_t parity) {
  uint32_t done = 0;
  asm volatile(
      "{.reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
      : "=r"(done)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return done != 0;
}
// Waiting warps should not take issue slots from working ones: sm_90 suspends them in hardware (the
// hint, in nanoseconds, only bounds one suspension), older GPUs sleep between polls.
__device__ __forceinline__ void barrier_wait(uint64_t* barrier, uint32_t parity) {
#if __CUDA_ARCH__ >= 900
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2, 1000000;"
        " selp.u32 %0, 1, 0, p;}"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
#else
  while (!barrier_test(barrier, parity)) __nanosleep(20);
#endif
}

// Programmatic dependent launch (sm_90 on). `wait` returns once the kernels this one depends on
// have finished and their writes are visible; `release` lets a dependent start its prologue.
__device__ __forceinline__ void dependency_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void dependency_release() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Loads that start where they stand: the compiler moves __ldg down to its use, even past `wait`.
__device__ __forceinline__ float load_here(const float* from) {
  float to;
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(to) : "l"(from) : "memory");
  return to;
}
__device__ __forceinline__ uint4 load_here(const uint4* from) {
  uint4 to;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
               : "l"(from)
               : "memory");
  return to;
}

}  // namespace posemamba::cuda
