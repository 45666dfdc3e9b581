// What has no name in CUDA C++ that one instruction would answer to. Nothing but such wrappers:
// tests compile the kernels for a CPU with others in their place (tests/support/cuda_on_cpu).
#ifndef POSEMAMBA_KERNELS_CUDA_SPECIAL_CUH_
#define POSEMAMBA_KERNELS_CUDA_SPECIAL_CUH_

#include <cuda_runtime.h>

namespace posemamba::cuda {

// 2^x on the special function unit: relative error 2^-22, results below 2^-126 flushed to zero.
__device__ __forceinline__ float exp2_fast(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// 1 / x on the special function unit, relative error 2^-23; 0 for infinity.
__device__ __forceinline__ float reciprocal_fast(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// `which` ? b : a, in one instruction: `?:` on array elements may put the array into memory.
__device__ __forceinline__ float select(int which, float a, float b) {
  float r;
  asm("{.reg .pred p; setp.ne.s32 p, %3, 0; selp.f32 %0, %1, %2, p;}"
      : "=f"(r)
      : "f"(b), "f"(a), "r"(which));
  return r;
}

__device__ __forceinline__ uint32_t select(int which, uint32_t a, uint32_t b) {
  return __float_as_uint(select(which, __uint_as_float(a), __uint_as_float(b)));
}

// The dynamic shared memory of a block, on 16 bytes. Kernels that want more declare `memory`.
__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char dynamic_memory[];
  return dynamic_memory;
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_SPECIAL_CUH_
