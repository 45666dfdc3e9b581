// Gate warps of the persistent tail: they turn the directions' scans into gated rows.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/tail_persistent/positions.cuh"
#include "cuda/block/tail_persistent/shared.cuh"

namespace posemamba::cuda {

// Brings a row that is read later into the L2. A lane is a line of 128 bytes of one stream: the
// four directions, u, z, and the residual, which the matrix warps read. In batches a block is bound
// by how many bytes it keeps in flight, and these take no register.
template <int D>
class RowAhead {
  static constexpr int kRow = 2 * D * static_cast<int>(sizeof(__half));  // bytes; D floats as well
  static constexpr int kLines = kRow / 128;
  static constexpr int kFour = 4;  // directions
  static_assert((kFour + 3) * kLines <= 32, "a lane a line");

 public:
  __device__ __forceinline__ RowAhead(const CrossArgs& c, const pm_block_tail_params& a, int lane)
      : stream_(lane / kLines) {
    const void* from = c.partial;
    bytes_ = kRow;
    if (stream_ == kFour) from = c.x, bytes_ = static_cast<int>(c.x_stride * sizeof(__half));
    if (stream_ == kFour + 1) from = a.z, bytes_ = static_cast<int>(a.z_stride * sizeof(__half));
    if (stream_ > kFour + 1) from = a.residual;
    at_ = static_cast<const char*>(from) + lane % kLines * 128;
  }

  __device__ __forceinline__ void fetch(const CrossArgs& c, const Positions& positions,
                                        int row) const {
    if (stream_ >= kFour + 3 || row >= positions.rows) return;
    int64_t index = row;
    if (stream_ < kFour) {
      const RowPlace p = positions.place(row);
      const int step = c.step_base[stream_] + c.step_frame[stream_] * p.at.frame +
                       c.step_joint[stream_] * p.at.joint;
      index = (int64_t{p.item} * kFour + stream_) * c.steps + step;
    }
    asm volatile("prefetch.global.L2 [%0];" ::"l"(at_ + index * bytes_));
  }

 private:
  const char* at_;
  int bytes_;  // from row to row
  int stream_;
};

// A tile's rows go to the warps in turns, Count at a time. The next turn's reads are under way
// while a warp normalises, and at D 128 those of the turn after that are brought into the L2: at D
// 64 it was slower.
template <class Config>
__device__ __forceinline__ void run_gate_warps(typename Config::Shared& shared, const CrossArgs& c,
                                               const pm_block_tail_params& a,
                                               const Positions& positions, int tiles, int warp,
                                               int lane) {
  constexpr int D = Config::kWidth;
  constexpr int kCount = D == 64 ? 4 : 1;  // for the registers
  constexpr int kTurn = kCount * Config::kGateWarps;
  static_assert(kTileRows % kCount == 0, "whole groups");
  using Rows = GateRows<D, kCount>;
  const TailVectors<D, true>& v = shared.vectors;
  const int blocks = static_cast<int>(gridDim.x);
  const int first = warp * kCount;
  Rows ahead;
  const auto fetch = [&](int row) {
    int at = min(row, positions.rows - 1);  // rows past the last position repeat it
    RowPlace p = positions.place(at);
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
      // Items lie one after the other, so rows of the batch do for u and z.
      const GateSource from = {static_cast<const __half*>(c.partial) +
                                   int64_t{p.item * Rows::kFour * c.steps} * Rows::kInner,
                               static_cast<const __half*>(c.x), static_cast<const __half*>(a.z)};
      ahead.load(r, c, a, Rows::kFour, from, at, p.at, shared.limb[p.at.joint], lane);
      if (r + 1 < kCount && at + 1 < positions.rows) ++at, positions.next(p, c.frames);
    }
  };
  // The row a warp takes after `row`, in a later tile where this one has no more.
  const auto after = [&](int row) {
    const bool same = row % kTileRows + kTurn < kTileRows;
    return same ? row + kTurn : (row / kTileRows + blocks) * kTileRows + first;
  };
  fetch(static_cast<int>(blockIdx.x) * kTileRows + first);
  uint32_t phase = 0;
  int buffer = 0;
#pragma unroll 1
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += blocks) {
#pragma unroll 1
    for (int at = first; at < kTileRows; at += kTurn) {
      typename Rows::Group y;
      ahead.skip(v, lane, y);
      ahead.add_directions(Rows::kFour, y);
      typename Rows::Bits gate[kCount];
#pragma unroll
      for (int r = 0; r < kCount; ++r) gate[r] = ahead.gate[r];
      const int next = after(tile * kTileRows + at);
      fetch(next);  // past the last tile the last row again, which nobody uses
      if constexpr (kCount == 1) RowAhead<D>(c, a, lane).fetch(c, positions, after(next));
      y.normalize(a.out_epsilon, lane,
                  [&](int q, int which) { return v.gate_quad(v.out_norm[which], q, lane); });
      // A buffer's first wait is for the phase before the barrier's first: complete already.
      if (at == first) barrier_wait(shared.gated_empty + buffer, phase ^ 1);
      write_gated(y, gate, lane, shared.gated[buffer] + at * Config::kStride, Config::kStride);
    }
    barrier_arrive(shared.gated_full + buffer);
    if (++buffer == Config::kBuffers) buffer = 0, phase ^= 1;
  }
}

}  // namespace posemamba::cuda
