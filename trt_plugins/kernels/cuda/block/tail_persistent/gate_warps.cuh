// Gate warps of the persistent tail: they turn the directions' scans into gated rows.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/tail_persistent/shared.cuh"

#ifndef GC64
#define GC64 4
#endif
#ifndef GC128
#define GC128 2
#endif
namespace posemamba::cuda {

// One position after the other, over the borders of frames and batch items, without divisions.
struct PositionWalk {
  int64_t item;
  int position;  // in its item
  GridPoint at;

  __device__ __forceinline__ void start(int row, const CrossArgs& c) {
    const int which = row / c.steps;
    item = which;
    position = row - which * c.steps;
    at.frame = position / c.joints;
    at.joint = position - at.frame * c.joints;
  }
  __device__ __forceinline__ void next(const CrossArgs& c) {
    const bool frame_ends = at.joint + 1 == c.joints;
    const bool item_ends = position + 1 == c.steps;
    at.joint = frame_ends ? 0 : at.joint + 1;
    at.frame = item_ends ? 0 : at.frame + (frame_ends ? 1 : 0);
    position = item_ends ? 0 : position + 1;
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
  constexpr int kCount = D == 64 ? GC64 : GC128;
  constexpr int kTurn = kCount * Config::kGateWarps;
  static_assert(kTileRows % kCount == 0, "whole groups");
  using Rows = GateRows<D, kCount>;
  const TailVectors<D>& v = shared.vectors;
  Rows ahead;
  const auto fetch = [&](int row) {
    PositionWalk walk;
    walk.start(min(row, rows - 1), c);
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
      ahead.load(r, c, a, Rows::kFour, gate_source(c, a, walk.item), walk.position, walk.at,
                 shared.limb[walk.at.joint], lane);
      if (row + r + 1 < rows) walk.next(c);  // rows past the last position repeat it
    }
  };
  const int first = warp * kCount;
  fetch(static_cast<int>(blockIdx.x) * kTileRows + first);
  uint32_t phase = 0;
  int buffer = 0;
#pragma unroll 1
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
       tile += static_cast<int>(gridDim.x)) {
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
      y.normalize(v.out_norm[0], v.out_norm[1], a.out_epsilon, lane);
      // A buffer's first wait is for the phase before the barrier's first: complete already.
      if (row == first) barrier_wait(shared.gated_empty + buffer, phase ^ 1);
      write_gated(y, gate, lane, shared.gated[buffer] + row * Config::kStride, Config::kStride);
    }
    __syncwarp();  // every lane has written
    if (lane == 0) barrier_arrive(shared.gated_full + buffer);
    if (++buffer == Config::kBuffers) buffer = 0, phase ^= 1;
  }
}

}  // namespace posemamba::cuda
