// What the one-pass designs of CrossSelectiveScan share: how they read rows of x and x_dbl, and a
// softplus as accurate as the activations. They walk the whole sequence in one launch, so a step
// past the end needs no mask: its state is never used and its output never stored.
#pragma once

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

constexpr int kOnePassStates = 16;

// Four consecutive values of x_dbl as they lie in memory: 8 or 16 bytes, aligned so.
template <typename T>
struct Quad;

template <>
struct Quad<__half> {
  uint2 bits;
  __device__ __forceinline__ void load(const void* p) {
    bits = __ldg(reinterpret_cast<const uint2*>(p));
  }
  __device__ __forceinline__ float4 value() const {
    const float2 low = Io<__half>::value2(bits.x);
    const float2 high = Io<__half>::value2(bits.y);
    return make_float4(low.x, low.y, high.x, high.y);
  }
};

template <>
struct Quad<float> {
  float4 bits;
  __device__ __forceinline__ void load(const void* p) {
    bits = __ldg(reinterpret_cast<const float4*>(p));
  }
  __device__ __forceinline__ float4 value() const { return bits; }
};

__device__ __forceinline__ float4 sum4(const float4& a, const float4& b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// Uniform base, 32-bit lane offset: an addressing mode of its own on NVIDIA GPUs.
__device__ __forceinline__ const char* byte_at(const void* base, unsigned bytes) {
  return static_cast<const char*>(base) + bytes;
}

// Sum of 16 bytes of activations, rounded to their type.
template <typename T>
__device__ __forceinline__ uint4 sum_16(const uint4& a, const uint4& b) {
  const uint32_t x[4] = {a.x, a.y, a.z, a.w};
  const uint32_t y[4] = {b.x, b.y, b.z, b.w};
  uint32_t sum[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) {
      sum[i] = __float_as_uint(__uint_as_float(x[i]) + __uint_as_float(y[i]));
    } else {
      const __half2 two = __hadd2(*reinterpret_cast<const __half2*>(x + i),
                                  *reinterpret_cast<const __half2*>(y + i));
      sum[i] = *reinterpret_cast<const uint32_t*>(&two);
    }
  }
  return make_uint4(sum[0], sum[1], sum[2], sum[3]);
}

// softplus for activations of type T. Beside float16 ones (2^-11) a log1p of degree 5 is exact: its
// relative error is 8e-6.
template <typename T>
__device__ __forceinline__ float softplus_for(float v) {
  if constexpr (sizeof(T) == 4) {
    return softplus(v);
  } else {
    const float e = exp2_fast(-fabsf(v) * kLog2e);
    float p = -0.0238690688f;
    p = fmaf(p, e, 0.101222075f);
    p = fmaf(p, e, -0.210048501f);
    p = fmaf(p, e, 0.325206608f);
    p = fmaf(p, e, -0.499361354f);
    p = fmaf(p, e, 0.999991598f);
    return fmaf(e, p, fmaxf(v, 0.0f));
  }
}

// Positions (frame * joints + joint) of a step of a walk and of its limb neighbour.
struct Places {
  unsigned own;
  unsigned limb;
};

// In the walk's own direction; a step past the end repeats the last.
__device__ __forceinline__ Places places_of(const CrossArgs& a, int order, int step,
                                            const unsigned char* limb) {
  const GridPoint at = point_of_step(a, order, false, min(step, a.steps - 1));
  const auto row = static_cast<unsigned>(at.frame * a.joints);
  return {row + static_cast<unsigned>(at.joint), row + limb[at.joint]};
}

}  // namespace posemamba::cuda
