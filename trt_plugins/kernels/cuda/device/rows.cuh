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

// Count rows of Channels channels; lane i holds channels 4i of every 128, from 256 channels on 8i
// of every 256. Lanes beyond a row shorter than 128 hold zeros. Turned: of its eight channels every
// second group of four lanes has the last four first, so that reads of shared memory hit all banks.
template <int Channels, int Count, bool Turned = false>
struct RowGroup {
  static constexpr int kQuads = Channels > 128 ? Channels / 128 : 1;
  static_assert(Channels % 128 == 0 || (Channels < 128 && Channels % 4 == 0), "whole quads");

  float4 quad[Count][kQuads];

  static __device__ __forceinline__ int channel(int q, int lane) {
    if (Channels < 256) return lane * 4;
    return q / 2 * 256 + lane * 8 + (Turned ? (q + lane / 4) % 2 : q % 2) * 4;
  }
  // Eight neighbouring channels of a row, from channel(q) on or from channel(q + 1) on.
  __device__ __forceinline__ uint4 eight_halves(int r, int q, int lane) const {
    const uint2 one = bits_of(quad[r][q]), two = bits_of(quad[r][q + 1]);
    const bool turned = Turned && lane / 4 % 2 != 0;
    return turned ? make_uint4(two.x, two.y, one.x, one.y) : make_uint4(one.x, one.y, two.x, two.y);
  }
  static __device__ __forceinline__ bool used(int lane) {
    return Channels >= 128 || lane * 4 < Channels;
  }

  // LayerNorm of every row. Two passes over registers: mean first, then the squares about it, as
  // PyTorch's accuracy needs.
  __device__ __forceinline__ void normalize(const float* gamma, const float* beta, float epsilon,
                                            int lane) {
    normalize(epsilon, lane, [&](int q, int which) {
      return read_quad((which == 0 ? gamma : beta) + channel(q, lane));
    });
  }
  // The same with vector(q, 0 or 1): a lane's quad of gamma or beta.
  template <class Vector>
  __device__ __forceinline__ void normalize(float epsilon, int lane, Vector&& vector) {
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
      const float4 g = vector(q, 0);
      const float4 b = vector(q, 1);
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
