// Global memory to shared memory with many loads on their way at once. One by one, each loop waits
// for memory as often as it turns: that was most of the kernels' time.
#pragma once

#include <cuda_runtime.h>

namespace posemamba::cuda::backward {

constexpr int kInFlight = 8;

__device__ __forceinline__ void read4(const float* from, float (&to)[4]) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
__device__ __forceinline__ void write4(float* to, const float (&v)[4]) {
  *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
}

// keep(i, load(i)) for i = first, first + stride, ... below count, kInFlight loads before they are
// kept. `load` has no branch; the last i may come several times.
template <class Load, class Keep>
__device__ __forceinline__ void staged(int first, int count, int stride, const Load& load,
                                       const Keep& keep) {
  for (int base = first; base < count; base += kInFlight * stride) {
    decltype(load(0)) values[kInFlight];
#pragma unroll
    for (int m = 0; m < kInFlight; ++m) values[m] = load(min(base + m * stride, count - 1));
#pragma unroll
    for (int m = 0; m < kInFlight; ++m) keep(min(base + m * stride, count - 1), values[m]);
  }
}

}  // namespace posemamba::cuda::backward
