// Four neighbouring channels at a time: 8-byte (fp16) or 16-byte (fp32) accesses, float math.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace posemamba::cuda {

__device__ __forceinline__ float4 read_quad(const float* p) {
  return *reinterpret_cast<const float4*>(p);
}
// Four halves as they lie in memory, and their values.
__device__ __forceinline__ float4 quad_of(uint2 bits) {
  const float2 low = __half22float2(*reinterpret_cast<const __half2*>(&bits.x));
  const float2 high = __half22float2(*reinterpret_cast<const __half2*>(&bits.y));
  return make_float4(low.x, low.y, high.x, high.y);
}
__device__ __forceinline__ uint2 bits_of(float4 v) {
  const __half2 low = __floats2half2_rn(v.x, v.y);
  const __half2 high = __floats2half2_rn(v.z, v.w);
  return make_uint2(*reinterpret_cast<const uint32_t*>(&low),
                    *reinterpret_cast<const uint32_t*>(&high));
}
__device__ __forceinline__ float4 read_quad(const __half* p) {
  return quad_of(*reinterpret_cast<const uint2*>(p));
}
__device__ __forceinline__ void write_quad(float* p, float4 v) {
  *reinterpret_cast<float4*>(p) = v;
}
__device__ __forceinline__ void write_quad(__half* p, float4 v) {
  *reinterpret_cast<uint2*>(p) = bits_of(v);
}

__device__ __forceinline__ float4 operator+(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ __forceinline__ float4 fma4(float4 a, float4 b, float4 c) {
  return make_float4(fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y), fmaf(a.z, b.z, c.z),
                     fmaf(a.w, b.w, c.w));
}
__device__ __forceinline__ float sum4(float4 v) { return (v.x + v.y) + (v.z + v.w); }

}  // namespace posemamba::cuda
