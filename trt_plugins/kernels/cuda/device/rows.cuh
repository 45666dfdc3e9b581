// Rows of channels in a warp's registers, several at a time: the shuffles of one row's sum wait for
// each other, those of four rows do not.
#pragma once

#include "cuda/device/quad.cuh"

namespace posemamba::cuda {

template <int Count>
__device__ __forceinline__ void warp_sums(float (&v)[Count]) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
#pragma unroll
    for (int i = 0; i < Count; ++i) v[i] += __shfl_xor_sync(0xffffffffu, v[i], offset);
  }
}

// Count rows of Channels channels; lane i holds channels 4i of every 128. Lanes beyond a row
// shorter than 128 hold zeros.
template <int Channels, int Count>
struct RowGroup {
  static constexpr int kQuads = Channels > 128 ? Channels / 128 : 1;
  static_assert(Channels % 128 == 0 || (Channels < 128 && Channels % 4 == 0), "whole quads");

  float4 quad[Count][kQuads];

  static __device__ __forceinline__ int channel(int q, int lane) {
    return Channels < 256 ? lane * 4 : q / 2 * 256 + lane * 8 + q % 2 * 4;
  }
  static __device__ __forceinline__ bool used(int lane) {
    return Channels >= 128 || lane * 4 < Channels;
  }

  // LayerNorm of every row. Two passes over registers: mean first, then the squares about it, as
  // PyTorch's accuracy needs.
  __device__ __forceinline__ void normalize(const float* gamma, const float* beta, float epsilon,
                                            int lane) {
    constexpr float kInverse = 1.0f / Channels;
    float total[Count];
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      total[r] = 0.0f;
#pragma unroll
      for (int q = 0; q < kQuads; ++q) total[r] += sum4(quad[r][q]);
    }
    warp_sums(total);
    float squares[Count];
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      const float mean = used(lane) ? total[r] * kInverse : 0.0f;  // unused lanes stay zero
      squares[r] = 0.0f;
#pragma unroll
      for (int q = 0; q < kQuads; ++q) {
        quad[r][q] = quad[r][q] + make_float4(-mean, -mean, -mean, -mean);
        squares[r] += sum4(fma4(quad[r][q], quad[r][q], make_float4(0, 0, 0, 0)));
      }
    }
    warp_sums(squares);
    if (!used(lane)) return;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 g = read_quad(gamma + channel(q, lane));
      const float4 b = read_quad(beta + channel(q, lane));
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        const float scale = rsqrtf(fmaf(squares[r], kInverse, epsilon));
        const float4 v = quad[r][q];
        quad[r][q] = fma4(make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale), g, b);
      }
    }
  }
};

// One row of halves as they lie in memory, in RowGroup's layout.
template <int Channels>
struct RowBits {
  using Group = RowGroup<Channels, 1>;
  uint2 quad[Group::kQuads];

  __device__ __forceinline__ void load(const __half* row, int lane) {
    if constexpr (Channels < 256) {
      quad[0] = make_uint2(0, 0);
      if (Group::used(lane)) quad[0] = *reinterpret_cast<const uint2*>(row + lane * 4);
    } else {
#pragma unroll
      for (int q = 0; q < Group::kQuads; q += 2) {
        const uint4 v = *reinterpret_cast<const uint4*>(row + Group::channel(q, lane));
        quad[q] = make_uint2(v.x, v.y);
        quad[q + 1] = make_uint2(v.z, v.w);
      }
    }
  }
};

}  // namespace posemamba::cuda
