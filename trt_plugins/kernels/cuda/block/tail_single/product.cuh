// A product of a block's rows in shared memory, its column tiles dealt out to a block's warps.
#pragma once

#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// A block's product: K inputs to N outputs for its Rows rows, 16 or 32, column tiles dealt out to
// the warps. With more warps than tiles a warp takes 16 rows of a tile; warps beyond that rest.
template <int K, int N, int Warps, int Rows>
struct BlockProduct {
  static constexpr int kTiles = N / 16;
  static constexpr bool kSplitRows = kTiles < Warps;
  static constexpr int kPerWarp = kSplitRows ? 1 : kTiles / Warps;
  static constexpr int kAtOnce = kPerWarp < 2 ? kPerWarp : 2;
  static constexpr int kWords = Warps == 8 ? 4 : 8;  // of weights in flight, for the registers
  static_assert(kSplitRows || kTiles % Warps == 0, "tiles for every warp");

  WarpProduct<K, kSplitRows ? 1 : Rows / 16, kAtOnce, kWords> product;
  const void* packed;
  int warp;
  int lane;

  __device__ __forceinline__ int tile(int pass) const {
    return kSplitRows ? warp % kTiles : (pass * Warps + warp) * kAtOnce;
  }
  __device__ __forceinline__ bool busy() const { return !kSplitRows || warp < Rows / 16 * kTiles; }

  __device__ __forceinline__ void prime(const void* weights, int warp_of_block, int lane_of_warp) {
    packed = weights, warp = warp_of_block, lane = lane_of_warp;
    if (busy()) product.prime(packed, tile(0), lane);
  }
  // put(row, column, two neighbouring values)
  template <class Put>
  __device__ __forceinline__ void run(const __half* a, int stride, Put&& put) {
    if (!busy()) return;
    const int row0 = kSplitRows ? warp / kTiles * 16 : 0;
#pragma unroll 1
    for (int pass = 0; pass < kPerWarp / kAtOnce; ++pass) {
      product.run(a, stride, row0, lane);
      const int column0 = tile(pass) * 16;
      if ((pass + 1) * kAtOnce < kPerWarp) product.prime(packed, tile(pass + 1), lane);
      product.each(row0, lane,
                   [&](int row, int column, float2 v) { put(row, column0 + column, v); });
    }
  }
};

}  // namespace posemamba::cuda
