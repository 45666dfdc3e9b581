// x_proj of a warpgroup's 64 rows by warpgroup products (sm_90a): the weights are read from shared
// memory once for four warps.
#pragma once

#include "cuda/block/conv_proj/cores.cuh"
#include "cuda/block/conv_proj/rows16.cuh"

namespace posemamba::cuda {

template <int Channels>
struct CoreProjection {
  static constexpr int kTogether = 4;  // warps that multiply together
  static constexpr int kStride = Rows16<Channels>::kStride;
  static constexpr int kSteps = Channels / 16;

  // Where a column lies, so that accumulators of a lane are neighbours: eight of 32, of an odd last
  // 16 four.
  static __device__ __forceinline__ int place_of(int column, int columns) {
    if (column < columns / 32 * 32) return neighbours_of_32(column);
    return column / 16 * 16 + column / 2 % 2 * 8 + column / 4 % 4 * 2 + column % 2;
  }

  // This thread's share of the weights; all threads arrive at `full`.
  static __device__ __forceinline__ void load(unsigned char* to, const pm_conv_proj_params& a,
                                              uint64_t* full, int thread, int threads) {
    load_cores<Channels>(to, a.projection, a.columns, a.columns, thread, threads,
                         [&](int column) { return place_of(column, a.columns); });
    writes_before_products();  // other warps' too, once they have seen this arrival
    barrier_arrive(full);
  }

  // x_dbl of the rows, 32 columns at a time; an odd last 16 go alone.
  static __device__ __forceinline__ void project(const unsigned char* cores, const __half* rows,
                                                 const pm_conv_proj_params& a, int positions,
                                                 int first, int lane) {
    uint32_t operand[kSteps][4];
#pragma unroll
    for (int k = 0; k < kSteps; ++k) load_a(rows, kStride, 0, k * 16, lane, operand[k]);
    const int row = first + lane / 4;
    const bool exists[2] = {row < positions, row + 8 < positions};
    __half* to = static_cast<__half*>(a.x_dbl) + int64_t{row} * a.columns;
    int column = 0;
#pragma unroll 1
    for (; column + 32 <= a.columns; column += 32) {
      float sum[4][4] = {};
      multiply(sum, operand, cores + column * 16, a.columns);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (!exists[r]) continue;
        *reinterpret_cast<uint4*>(to + r * 8 * a.columns + column + lane % 4 * 8) =
            make_uint4(half_pair(sum[0][2 * r], sum[0][2 * r + 1]),
                       half_pair(sum[1][2 * r], sum[1][2 * r + 1]),
                       half_pair(sum[2][2 * r], sum[2][2 * r + 1]),
                       half_pair(sum[3][2 * r], sum[3][2 * r + 1]));
      }
    }
    if (column == a.columns) return;
    float sum[2][4] = {};
    multiply(sum, operand, cores + column * 16, a.columns);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!exists[r]) continue;
      *reinterpret_cast<uint2*>(to + r * 8 * a.columns + column + lane % 4 * 4) = make_uint2(
          half_pair(sum[0][2 * r], sum[0][2 * r + 1]), half_pair(sum[1][2 * r], sum[1][2 * r + 1]));
    }
  }

 private:
  template <int Tiles>
  static __device__ __forceinline__ void multiply(float (&sum)[Tiles][4],
                                                  uint32_t (&operand)[kSteps][4],
                                                  const unsigned char* cores, int columns) {
    start_products(sum, operand, cores, columns);
    products_wait<0>();
    products_end(sum);
  }
};

}  // namespace posemamba::cuda
