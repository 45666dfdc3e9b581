// How blocks tell each other words while they run. A word is all ones until it is told, and says so
// by itself: no flag, and no order among words, is needed. The tests that run the kernels on a CPU
// have another file in this one's place (tests/support/cuda_on_cpu).
#pragma once

#include <cuda_runtime.h>

namespace posemamba::cuda::resident {

constexpr unsigned kUntold = ~0u;  // as a float a NaN, of those that no arithmetic makes

// Whatever is told, a NaN too, is never all ones: else who waits for it would wait for ever.
__device__ __forceinline__ void tell(float* to, float v) {
  const unsigned bits = min(__float_as_uint(v), kUntold - 1);
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(bits) : "memory");
}
__device__ __forceinline__ float look(const float* from) {
  float v;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
  return v;
}

}  // namespace posemamba::cuda::resident
