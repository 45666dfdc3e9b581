// Rows of channels in a warp's registers, several at a time: the shuffles of one row's sum wait for
// each other, those of four rows do not.
#pragma once

#include "cuda/device/quad.cuh"

namespace posemamba::cuda {

// Sums over all lanes, or over every (32 / Lanes)th.
template <int Lanes = 32, int Count>
__device__ __forceinline__ void warp_sums(float (&v)[Count]) {
#pragma unroll
  for (int offset = 16; offset >= 32 / Lanes; offset /= 2) {
#pragma unroll
    for (int i = 0; i < Count; ++i) v[i] += __shfl_xor_sync(0xffffffffu, v[i], offset);
  }
}

// Count rows of Channels channels on Lanes lanes, of which `lane` counts a row's: 32, or 16 where a
// warp has two rows at once, in every second lane; that is fewer shuffles and no idle lanes at 64
// channels. Lane i holds channels 4i, or of more than four a lane 8i of every 8 Lanes. Lanes beyond
// a shorter row hold zeros. Turned: of its eight channels every second group of four lanes has the
// last four first, so that reads of shared memory hit all banks.
template <int Channels, int Count, bool Turned = false, int Lanes = 32>
struct RowGroup {
  static constexpr int kQuads = Channels > 4 * Lanes ? Channels / (4 * Lanes) : 1;
  static_assert(Channels % (4 * Lanes) == 0 || (kQuads == 1 && Channels % 4 == 0), "whole quads");

  float4 quad[Count][kQuads];

  static __device__ __forceinline__ int channel(int q, int lane) {
    if (kQuads == 1) return lane * 4;
    return q / 2 * 8 * Lanes + lane * 8 + (Turned ? (q + lane / 4) % 2 : q % 2) * 4;
  }
  // Eight neighbouring channels of a row, from channel(q) on or from channel(q + 1) on.
  __device__ __forceinline__ uint4 eight_halves(int r, int q, int lane) const {
    const uint2 one = bits_of(quad[r][q]), two = bits_of(quad[r][q + 1]);
    const bool turned = Turned && lane / 4 % 2 != 0;
    return turned ? make_uint4(two.x, two.y, one.x, one.y) : make_uint4(one.x, one.y, two.x, two.y);
  }
  static __device__ __forceinline__ bool used(int lane) {
    return Channels >= 4 * Lanes || lane * 4 < Channels;
  }

  // LayerNorm of every row.
  __device__ __forceinline__ void normalize(const float* gamma, const float* beta, float epsilon,
                                            int lane) {
    normalize(epsilon, lane, [&](int q, int which) {
      return read_quad((which == 0 ? gamma : beta) + channel(q, lane));
    });
  }
  // The same with vector(q, 0 or 1): a lane's quad of gamma or beta.
  template <class Vector>
  __device__ __forceinline__ void normalize(float epsilon, int lane, Vector&& vector) {
    float mean[Count];
    float squares[Count];  // about the mean
    if constexpr (Count == 1) {
      find_at_once(mean, squares);
    } else {
      find_in_turn(mean, squares, lane);
    }
    if (!used(lane)) return;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 g = vector(q, 0);
      const float4 b = vector(q, 1);
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        const float scale = rsqrtf(fmaf(squares[r], 1.0f / Channels, epsilon));
        const float4 v = quad[r][q] + make_float4(-mean[r], -mean[r], -mean[r], -mean[r]);
        quad[r][q] = fma4(make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale), g, b);
      }
    }
  }

 private:
  __device__ __forceinline__ float sum_of(int r) const {
    float sum = 0.0f;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) sum += sum4(quad[r][q]);
    return sum;
  }
  __device__ __forceinline__ float squares_about(int r, float mean) const {
    float sum = 0.0f;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 off = quad[r][q] + make_float4(-mean, -mean, -mean, -mean);
      sum += sum4(fma4(off, off, make_float4(0, 0, 0, 0)));
    }
    return sum;
  }
  // Mean first, then the squares about it, as PyTorch's accuracy needs.
  __device__ __forceinline__ void find_in_turn(float (&mean)[Count], float (&squares)[Count],
                                               int lane) const {
#pragma unroll
    for (int r = 0; r < Count; ++r) mean[r] = sum_of(r);
    warp_sums<Lanes>(mean);
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      mean[r] *= 1.0f / Channels;
      squares[r] = used(lane) ? squares_about(r, mean[r]) : 0.0f;
    }
    warp_sums<Lanes>(squares);
  }
  // Every lane's own first, then pairwise (Chan, Golub and LeVeque 1979), as exact. Half as many
  // shuffles wait for each other, which pays for a row alone: others hide each other's.
  __device__ __forceinline__ void find_at_once(float (&mean)[Count],
                                               float (&squares)[Count]) const {
    constexpr int kUsed = Channels < 4 * Lanes ? Channels / 4 : Lanes;  // lanes with channels
    constexpr float kOwn = static_cast<float>(Channels) / kUsed;
    static_assert((kUsed & (kUsed - 1)) == 0, "pairs of equal size");
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      mean[r] = sum_of(r) * (1.0f / kOwn);
      squares[r] = squares_about(r, mean[r]);
    }
#pragma unroll
    for (int distance = 1; distance < kUsed; distance *= 2) {
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        const int away = distance * (32 / Lanes);
        const float other_mean = __shfl_xor_sync(0xffffffffu, mean[r], away);
        const float other_squares = __shfl_xor_sync(0xffffffffu, squares[r], away);
        const float apart = other_mean - mean[r];
        squares[r] = fmaf(apart * apart, 0.5f * kOwn * static_cast<float>(distance),
                          squares[r] + other_squares);
        mean[r] = 0.5f * (mean[r] + other_mean);
      }
    }
  }
};

// One row of halves as they lie in memory, in RowGroup's layout.
template <int Channels, int Lanes = 32>
struct RowBits {
  using Group = RowGroup<Channels, 1, false, Lanes>;
  uint2 quad[Group::kQuads];

  __device__ __forceinline__ void load(const __half* row, int lane) {
    load(row, lane, [](const auto* from) { return *from; });
  }
  // With read(address) of 8 or 16 bytes.
  template <class Read>
  __device__ __forceinline__ void load(const __half* row, int lane, Read&& read) {
    if constexpr (Group::kQuads == 1) {
      quad[0] = make_uint2(0, 0);
      if (Group::used(lane)) quad[0] = read(reinterpret_cast<const uint2*>(row + lane * 4));
    } else {
#pragma unroll
      for (int q = 0; q < Group::kQuads; q += 2) {
        const uint4 v = read(reinterpret_cast<const uint4*>(row + Group::channel(q, lane)));
        quad[q] = make_uint2(v.x, v.y);
        quad[q + 1] = make_uint2(v.z, v.w);
      }
    }
  }
};

}  // namespace posemamba::cuda
