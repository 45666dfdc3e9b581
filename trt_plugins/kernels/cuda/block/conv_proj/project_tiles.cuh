// x_proj of a warp's 16 rows by mma.sync, with the packed weights as they are.
#pragma once

#include "cuda/block/conv_proj/rows16.cuh"
#include "cuda/block/pair_columns.cuh"
#include "cuda/device/copy_async.cuh"

namespace posemamba::cuda {

template <int Channels>
struct TileProjection {
  static constexpr int kTogether = 1;  // warps that multiply together
  static constexpr int kStride = Rows16<Channels>::kStride;

  // This thread's share of the weights; all threads arrive at `full`.
  static __device__ __forceinline__ void load(unsigned char* to, const pm_conv_proj_params& a,
                                              uint64_t* full, int thread, int threads) {
    const int words = a.columns / 16 * (Rows16<Channels>::kTile / 16);
    for (int i = thread; i < words; i += threads) {
      copy_async(reinterpret_cast<uint4*>(to) + i, static_cast<const uint4*>(a.projection) + i);
    }
    copies_arrive(full);
  }

  // x_dbl of the rows, two tiles of 16 columns at a time; an odd last tile goes alone.
  static __device__ __forceinline__ void project(const unsigned char* tiles, const __half* rows,
                                                 const pm_conv_proj_params& a, int positions,
                                                 int first, int lane) {
    const auto* weights = reinterpret_cast<const uint4*>(tiles);
    constexpr int kSteps = Channels / 16;
    uint32_t operand[kSteps][4];
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      load_a(rows, kStride, 0, k * 16, lane, operand[k]);
    }
    const int row = first + lane / 4;
    const bool exists[2] = {row < positions, row + 8 < positions};
    __half* to = static_cast<__half*>(a.x_dbl) + int64_t{row} * a.columns;
    int column = 0;
#pragma unroll 1
    for (; column + 32 <= a.columns; column += 32, weights += 2 * kSteps * 32) {
      PairSum pair;
      pair.clear();
#pragma unroll
      for (int k = 0; k < kSteps; ++k) pair.add(operand[k], weights + k * 32, kSteps * 32, lane);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint4 bits = pair.row(r, lane);
        if (!exists[r]) continue;
        *reinterpret_cast<uint4*>(to + r * 8 * a.columns + column + paired_column(lane)) = bits;
      }
    }
    if (column == a.columns) return;
    float sum[2][4] = {};
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const uint4 b = weights[k * 32 + lane];
      mma(sum[0], operand[k], b.x, b.y);
      mma(sum[1], operand[k], b.z, b.w);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!exists[r]) continue;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        put_half2(to + r * 8 * a.columns + column + h * 8 + lane % 4 * 2,
                  make_float2(sum[h][2 * r], sum[h][2 * r + 1]));
      }
    }
  }
};

}  // namespace posemamba::cuda
