// Rows of whole frames in the order in which a walk visits them: they go out as panels of u, and
// are multiplied to what the directions of the walk read of x_proj. Both are limb summed where the
// walk is: a limb's neighbour is in the same frame.
#pragma once

#include "cuda/block/conv_proj/cores.cuh"
#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda {

using split_channel::kPanel;
using split_channel::Prepared;

constexpr int kStates = 16;  // of the scan

// Frames of the batch as one list.
struct FrameTile {
  int first;
  int frames;
};

// One row of a tile.
struct Visit {
  int row;    // of the tile
  int other;  // the row of its limb neighbour
  int item;
  int step;  // of the walk, forwards
};

// Neighbours among a tile's visits are neighbouring steps where they can be.
__device__ __forceinline__ Visit visit_of(const CrossArgs& c, int order, const FrameTile& tile,
                                          int index) {
  const bool by_joint = order == PM_JOINT_MAJOR || order == PM_JOINT_MAJOR_FLIPPED;
  const bool flipped = order >= PM_FRAME_MAJOR_FLIPPED;
  const int inner = by_joint ? tile.frames : c.joints;
  const int out = index / inner;
  const int in = flipped ? inner - 1 - index % inner : index % inner;
  const int at = by_joint ? in : out;
  const int joint = by_joint ? out : in;
  const int item = (tile.first + at) / c.frames;
  const int frame = tile.first + at - item * c.frames;
  const int step = by_joint ? joint * c.frames + (flipped ? c.frames - 1 - frame : frame)
                            : frame * c.joints + (flipped ? c.joints - 1 - joint : joint);
  return {at * c.joints + joint, at * c.joints + c.limb_index[joint], item, step};
}

// How the columns of x_proj lie in shared memory: a direction has blocks of eight, the dt inputs
// (of rank 4 half a block), then B and C. In those a lane of a product has every fourth column, so
// that its neighbours write the ones between.
template <int RankBlocks>
struct ColumnBlocks {
  static constexpr int kBlocks = RankBlocks + 2 * kStates / 8;  // of a direction
  static constexpr int kWidth = 8 * kBlocks;

  static __device__ __forceinline__ int place_of(int column, int rank) {
    const int k = column / (rank + 2 * kStates);
    const int at = column - k * (rank + 2 * kStates);
    const int state = at - rank;
    const int in = at < rank ? at : 8 * RankBlocks + state / 8 * 8 + state % 4 * 2 + state / 4 % 2;
    return k * kWidth + in;
  }
};

// 16 rows of `channels` inputs by a direction's columns. `cores` are its core matrices of `outputs`
// columns in all.
template <int Blocks, int Steps, bool Warpgroups>
__device__ __forceinline__ void multiply(float (&sum)[Blocks][4], uint32_t (&operand)[Steps][4],
                                         const unsigned char* cores, int outputs, int lane) {
  if constexpr (Warpgroups) {
    start_products(sum, operand, cores, outputs);
    products_wait<0>();
    products_end(sum);
  } else {
    // Two blocks of columns by 16 inputs a read; an odd last block is read with the one before.
    const int block = lane / 16;
    const unsigned char* from = cores + (lane / 8 % 2 * outputs + lane % 8) * 16;
#pragma unroll
    for (int k = 0; k < Steps; ++k) {
#pragma unroll
      for (int n = 0; n < Blocks; n += 2) {
        const int pair = n + 1 < Blocks ? n : n - 1;
        uint32_t b[4];
        load_matrices(
            reinterpret_cast<const __half*>(from + (k * 2 * outputs + (pair + block) * 8) * 16), b);
        if (pair == n) mma(sum[pair], operand[k], b[0], b[1]);
        mma(sum[pair + 1], operand[k], b[2], b[3]);
      }
    }
  }
}

// Two of a lane's rows as the scan finds them.
struct WalkedPair {
  int step[2];  // of the walk, forwards
  int item[2];
  bool exists[2];
};

// Writes the panels of u of one walk from the operand of its products: four lanes make a panel's 16
// bytes, and rows are neighbouring steps.
template <int Steps>
__device__ __forceinline__ void write_panels(const Prepared& to, int walk, const WalkedPair& pair,
                                             const uint32_t (&operand)[Steps][4], int lane) {
  const int64_t panel = int64_t{to.steps4} * kPanel;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!pair.exists[r]) continue;
    __half* u = to.u + (int64_t{pair.item[r]} * to.walks + walk) * (2 * Steps) * panel +
                pair.step[r] * kPanel + lane % 4 * 2;
#pragma unroll
    for (int k = 0; k < Steps; ++k) {
      *reinterpret_cast<uint32_t*>(u) = operand[k][r];
      *reinterpret_cast<uint32_t*>(u + panel) = operand[k][2 + r];
      u += 2 * panel;
    }
  }
}

// Writes B, C and dt inputs of a direction: the products of two rows.
template <int RankBlocks>
__device__ __forceinline__ void write_direction(
    const CrossArgs& c, const Prepared& to, int k, const WalkedPair& pair,
    const float (&sum)[ColumnBlocks<RankBlocks>::kBlocks][4], int lane) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!pair.exists[r]) continue;
    const int step = c.reverse[k] != 0 ? c.steps - 1 - pair.step[r] : pair.step[r];
    const int64_t row = (int64_t{pair.item[r]} * c.directions + k) * to.steps4;
    float* raw = to.raw + (row + step) * c.dt_rank;
#pragma unroll
    for (int b = 0; b < RankBlocks; ++b) {
      const int column = b * 8 + lane % 4 * 2;
      if (column < c.dt_rank) {
        *reinterpret_cast<float2*>(raw + column) = make_float2(sum[b][2 * r], sum[b][2 * r + 1]);
      }
    }
    float* bc = to.bc + (row + (step & ~3)) * (2 * kStates) + lane % 4 * 4 + (step & 3);
#pragma unroll
    for (int b = 0; b < 2 * kStates / 8; ++b) {
      bc[b * 32] = sum[RankBlocks + b][2 * r];
      bc[b * 32 + 16] = sum[RankBlocks + b][2 * r + 1];
    }
  }
}

// A warp's 16 visits of every walk, from `first` on: all that the scan reads of them.
template <int Channels, int RankBlocks, bool Warpgroups>
__device__ __forceinline__ void write_walks(const CrossArgs& c, const Prepared& to,
                                            const FrameTile& tile, const __half* rows, int stride,
                                            const unsigned char* cores, int first, int lane) {
  using Columns = ColumnBlocks<RankBlocks>;
  constexpr int kSteps = Channels / 16;
  const int count = tile.frames * c.joints;
#pragma unroll 1
  for (int walk = 0; walk < to.walks; ++walk) {
    // Lanes past the end repeat the last row, which they do not write.
    const Visit visit =
        visit_of(c, c.order[to.first[walk]], tile, min(first + lane % 16, count - 1));
    const __half* own = rows + visit.row * stride + lane / 16 * 8;
    const __half* other = rows + visit.other * stride + lane / 16 * 8;
    uint32_t operand[kSteps][4];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) load_matrices(own + s * 16, operand[s]);
    if (c.limb_mask[to.first[walk]] != 0) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        uint32_t limb[4];
        load_matrices(other + s * 16, limb);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const __half2 sum = __hadd2(*reinterpret_cast<const __half2*>(&operand[s][i]),
                                      *reinterpret_cast<const __half2*>(&limb[i]));
          operand[s][i] = *reinterpret_cast<const uint32_t*>(&sum);
        }
      }
    }
    WalkedPair pair;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      pair.step[r] = __shfl_sync(~0u, visit.step, lane / 4 + 8 * r);
      pair.item[r] = __shfl_sync(~0u, visit.item, lane / 4 + 8 * r);
      pair.exists[r] = first + lane / 4 + 8 * r < count;
    }
    write_panels(to, walk, pair, operand, lane);
#pragma unroll 1
    for (int k = 0; k < c.directions; ++k) {
      if (to.walk[k] != walk) continue;
      float sum[Columns::kBlocks][4] = {};
      multiply<Columns::kBlocks, kSteps, Warpgroups>(sum, operand, cores + k * Columns::kWidth * 16,
                                                     c.directions * Columns::kWidth, lane);
      write_direction<RankBlocks>(c, to, k, pair, sum, lane);
    }
  }
}

}  // namespace posemamba::cuda
