// Products whose outputs go straight to global memory in whole 32-byte sectors.
//
// An mma accumulator gives a lane two neighbouring columns of every eight: 4-byte stores. Columns
// of a product are free to move, so two packed tiles (32 columns) are read in another order: then a
// lane holds four neighbours twice, and one exchange with its neighbour makes that eight of one
// row. The order is one of addresses only: a lane still reads one 16-byte word a tile and step.
#pragma once

#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// Two tiles of 16 columns by 16 rows.
struct PairSum {
  float sum[2][2][4];  // [word][8-column half of the packed tile][mma register]

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < 16; ++i) sum[i / 8][i / 4 % 2][i % 4] = 0.0f;
  }

  // += a (16 x 16) * two packed tiles `tile_words` words apart. Quad lane p reads tile p / 2 and
  // of that the columns 4 (p % 2) + {0 to 3}, with the eight further on in the same words. A
  // quarter of a warp reads 128 contiguous bytes: no bank conflict.
  __device__ __forceinline__ void add(const uint32_t (&a)[4], const uint4* tiles, int tile_words,
                                      int lane) {
    const int column = lane / 4;  // of the operand; p = column / 2
    const uint4* from =
        tiles + column / 4 * tile_words + (column / 2 % 2 * 4 + column % 2) * 4 + lane % 4;
#pragma unroll
    for (int w = 0; w < 2; ++w) {
      const uint4 b = from[w * 8];
      mma(sum[w][0], a, b.x, b.y);
      mma(sum[w][1], a, b.z, b.w);
    }
  }

  // The eight neighbouring columns, from paired_column(lane) on, of row lane / 4 + 8 * half.
  __device__ __forceinline__ uint4 row(int half, int lane) const {
    uint32_t words[2][2];  // [half of the tile][word]
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int w = 0; w < 2; ++w) {
        const __half2 two = __floats2half2_rn(sum[w][h][2 * half], sum[w][h][2 * half + 1]);
        words[h][w] = *reinterpret_cast<const uint32_t*>(&two);
      }
    }
    const bool odd = lane % 2 != 0;
    uint32_t theirs[2];
#pragma unroll
    for (int w = 0; w < 2; ++w) {
      theirs[w] = __shfl_xor_sync(0xffffffffu, odd ? words[0][w] : words[1][w], 1);
    }
    return odd ? make_uint4(theirs[0], theirs[1], words[1][0], words[1][1])
               : make_uint4(words[0][0], words[0][1], theirs[0], theirs[1]);
  }
};

__device__ __forceinline__ int paired_column(int lane) { return lane % 4 * 8; }

}  // namespace posemamba::cuda
