// Gate warps of the persistent tail: they turn the directions' scans into gated rows.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/tail_persistent/shared.cuh"

namespace posemamba::cuda {

// Positions one after the other, over the borders of frames and batch items.
struct PositionWalk {
  int row;  // in the batch
  int item;
  GridPoint at;

  __device__ __forceinline__ PositionWalk(int first, const CrossArgs& c) : row(first) {
    item = row / c.steps;
    const int position = row - item * c.steps;
    at.frame = position / c.joints;
    at.joint = position - at.frame * c.joints;
  }
  __device__ __forceinline__ void next(const CrossArgs& c) {
    ++row;
    const bool frame_ends = at.joint + 1 == c.joints;
    const bool item_ends = frame_ends && at.frame + 1 == c.frames;
    at.joint = frame_ends ? 0 : at.joint + 1;
    at.frame = item_ends ? 0 : at.frame + (frame_ends ? 1 : 0);
    item += item_ends ? 1 : 0;
  }
};

// A tile's rows go to the warps in turns, Count at a time. The next ones' reads are under way while
// a warp normalises: in batches a block is bound by how many bytes it keeps in flight.
template <class Config>
__device__ __forceinline__ void run_gate_warps(typename Config::Shared& shared, const CrossArgs& c,
                                               const pm_block_tail_params& a, int rows, int tiles,
                                               int warp, int lane) {
  constexpr int D = Config::kWidth;
  constexpr int kCount = D == 64 ? 4 : 1;  // for the registers
  constexpr int kTurn = kCount * Config::kGateWarps;
  static_assert(kTileRows % kCount == 0, "whole groups");
  using Rows = GateRows<D, kCount>;
  const TailVectors<D>& v = shared.vectors;
  Rows ahead;
  const auto fetch = [&](int row) {
    PositionWalk walk(min(row, rows - 1), c);
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
      // Items lie one after the other, so rows of the batch do for u and z.
      const GateSource from = {static_cast<const __half*>(c.partial) +
                                   int64_t{walk.item * Rows::kFour * c.steps} * Rows::kInner,
                               static_cast<const __half*>(c.x), static_cast<const __half*>(a.z)};
      ahead.load(r, c, a, Rows::kFour, from, walk.row, walk.at, shared.limb[walk.at.joint], lane);
      if (row + r + 1 < rows) walk.next(c);  // rows past the last position repeat it
    }
  };
  const int first = warp * kCount;
  fetch(static_cast<int>(blockIdx.x) * kTileRows + first);
  uint32_t phase = 0;
  int buffer = 0;
#pragma unroll 1
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
#pragma unroll 1
    for (int row = first; row < kTileRows; row += kTurn) {
      typename Rows::Group y;
      ahead.sum_directions(Rows::kFour, y);
      ahead.add_skip(v, lane, y);
      typename Rows::Bits gate[kCount];
#pragma unroll
      for (int r = 0; r < kCount; ++r) gate[r] = ahead.gate[r];
      if (row + kTurn < kTileRows) {
        fetch(tile * kTileRows + row + kTurn);
      } else if (tile + static_cast<int>(gridDim.x) < tiles) {
        fetch((tile + static_cast<int>(gridDim.x)) * kTileRows + first);
      }
      normalize_at_once(y, v.out_norm[0], v.out_norm[1], a.out_epsilon, lane);
      // A buffer's first wait is for the phase before the barrier's first: complete already.
      if (row == first) barrier_wait(shared.gated_empty + buffer, phase ^ 1);
      write_gated(y, gate, lane, shared.gated[buffer] + row * Config::kStride, Config::kStride);
    }
    barrier_arrive(shared.gated_full + buffer);
    if (++buffer == Config::kBuffers) buffer = 0, phase ^= 1;
  }
}

}  // namespace posemamba::cuda
