// Activation functions and typed loads.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device/special.cuh"

namespace posemamba::cuda {

constexpr float kLog2e = 1.44269504088896340736f;

// max(v, 0) + log1p(exp(-|v|)). log1p(e) = e * p(e), a degree-7 minimax on [0, 1] (error 2e-7
// relative): one special-function instruction instead of two, and no digits lost for small dt.
__device__ __forceinline__ float softplus(float v) {
  const float e = exp2_fast(-fabsf(v) * kLog2e);
  float p = -0.00853917169f;
  p = fmaf(p, e, 0.0440895026f);
  p = fmaf(p, e, -0.107681535f);
  p = fmaf(p, e, 0.177452293f);
  p = fmaf(p, e, -0.244954585f);
  p = fmaf(p, e, 0.332754791f);
  p = fmaf(p, e, -0.499974054f);
  p = fmaf(p, e, 0.999999806f);
  return fmaf(e, p, fmaxf(v, 0.0f));
}

__device__ __forceinline__ float silu(float v) {
  return v * reciprocal_fast(1.0f + exp2_fast(-v * kLog2e));
}

// Exact (erf) GELU, max(v, 0) - |v| erfc(x) / 2 with x = |v| / sqrt(2). erfc(x) = p(t) exp(-x^2),
// t = 1 / (1 + 0.3275911 x), absolute error 1.5e-7 (Abramowitz and Stegun 7.1.26); no branch, where
// erff has one.
__device__ __forceinline__ float gelu(float v) {
  constexpr float kHalf = 0.5f;  // of the coefficients
  const float t = reciprocal_fast(fmaf(0.3275911f * 0.70710678118654752440f, fabsf(v), 1.0f));
  float p = kHalf * 1.061405429f;
  p = fmaf(p, t, kHalf * -1.453152027f);
  p = fmaf(p, t, kHalf * 1.421413741f);
  p = fmaf(p, t, kHalf * -0.284496736f);
  p = fmaf(p, t, kHalf * 0.254829592f);
  const float tail = p * t * exp2_fast(v * v * (-0.5f * kLog2e));  // half of erfc(x)
  return fmaf(-fabsf(v), tail, fmaxf(v, 0.0f));
}

// Raw bits kept in registers between a prefetch and its use.
template <typename T>
struct Io;

template <>
struct Io<__half> {
  using Scalar = unsigned short;
  using Pair = uint32_t;
  static __device__ __forceinline__ Scalar load(const __half* p) {
    return __ldg(reinterpret_cast<const unsigned short*>(p));
  }
  // 4-byte aligned p.
  static __device__ __forceinline__ Pair load_pair(const __half* p) {
    return __ldg(reinterpret_cast<const uint32_t*>(p));
  }
  static __device__ __forceinline__ Pair join(Scalar lo, Scalar hi) {
    return static_cast<uint32_t>(lo) | (static_cast<uint32_t>(hi) << 16);
  }
  static __device__ __forceinline__ float value(Scalar s) {
    return __half2float(__ushort_as_half(s));
  }
  static __device__ __forceinline__ float value(__half s) { return __half2float(s); }
  static __device__ __forceinline__ float2 value2(Pair p) {
    return __half22float2(*reinterpret_cast<const __half2*>(&p));
  }
  static __device__ __forceinline__ void store(__half* p, float v) { *p = __float2half_rn(v); }
  // 4-byte aligned p.
  static __device__ __forceinline__ void store_pair(__half* p, float lo, float hi) {
    *reinterpret_cast<__half2*>(p) = __floats2half2_rn(lo, hi);
  }
};

template <>
struct Io<float> {
  using Scalar = float;
  using Pair = float2;
  static __device__ __forceinline__ Scalar load(const float* p) { return __ldg(p); }
  // 8-byte aligned p.
  static __device__ __forceinline__ Pair load_pair(const float* p) {
    return __ldg(reinterpret_cast<const float2*>(p));
  }
  static __device__ __forceinline__ Pair join(Scalar lo, Scalar hi) { return make_float2(lo, hi); }
  static __device__ __forceinline__ float value(Scalar s) { return s; }
  static __device__ __forceinline__ float2 value2(Pair p) { return p; }
  static __device__ __forceinline__ void store(float* p, float v) { *p = v; }
  // 8-byte aligned p.
  static __device__ __forceinline__ void store_pair(float* p, float lo, float hi) {
    *reinterpret_cast<float2*>(p) = make_float2(lo, hi);
  }
};

}  // namespace posemamba::cuda
