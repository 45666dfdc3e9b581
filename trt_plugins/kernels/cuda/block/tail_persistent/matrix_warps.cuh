// Matrix warps of the persistent tail: gated rows in, the residual stream and the next xz (or the
// poses) out. A warp owns sixteen rows of a tile from first to last, so nothing is exchanged.
#pragma once

#include <type_traits>

#include "cuda/block/pair_columns.cuh"
#include "cuda/block/tail_persistent/fragment_rows.cuh"
#include "cuda/block/tail_persistent/shared.cuh"
#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

// A lane's rows g and g + 8 of a tile.
struct RowPair {
  int64_t row;  // g
  bool exists[2];

  __device__ __forceinline__ RowPair(int tile, int rows, int warp, int lane) {
    const int first = tile * kTileRows + warp * 16 + lane / 4;
    row = first;
    exists[0] = first < rows, exists[1] = first + 8 < rows;
  }
};

// sum += gelu(operand * fc1^T + bias) * fc2^T, 64 hidden channels at a time, and fc2's bias.
template <class Config, class Operand>
__device__ __forceinline__ void add_mlp(FragmentRows<Config::kWidth>& rows, const Operand& operand,
                                        typename Config::Weights& weights,
                                        const TailVectors<Config::kWidth>& v, int lane) {
  constexpr int D = Config::kWidth;
  constexpr int kAtOnce = Config::kRegisters ? 64 : 32;  // hidden channels, for the registers
  const int p = lane % 4;
#pragma unroll 1
  for (int part = 0; part < Config::kQuarters; ++part) {
    RegisterOperand<64> active(nullptr, lane);
    const uint4* words = weights.acquire();
#pragma unroll
    for (int half = 0; half < 64 / kAtOnce; ++half) {
      FragmentRows<kAtOnce> hidden;
      const float* bias = v.fc1_bias + part * 64 + half * kAtOnce;
#pragma unroll
      for (int t = 0; t < kAtOnce / 8; ++t) {
        const float2 b = read_pair(bias + 8 * t + 2 * p);
        hidden.sum[t][0] = hidden.sum[t][2] = b.x, hidden.sum[t][1] = hidden.sum[t][3] = b.y;
      }
      hidden.template multiply<D / 16, Config::kRegisters ? D / 16 : U1>(
          words + half * (kAtOnce / 16) * (D / 16) * 32, lane,
          [&](int k, uint32_t(&a)[4]) { operand.get(k, lane, a); });
      if (half == 64 / kAtOnce - 1) weights.release(lane);
#pragma unroll
      for (int t = 0; t < kAtOnce / 8; ++t) {
        const float(&h)[4] = hidden.sum[t];
        active.put(half * (kAtOnce / 8) + t, make_float2(gelu(h[0]), gelu(h[1])),
                   make_float2(gelu(h[2]), gelu(h[3])));
      }
    }
    rows.template multiply<4, 4>(weights.acquire(), lane, [&](int k, uint32_t(&a)[4]) {
      active.get(k, lane, a);
    });
    weights.release(lane);
  }
  rows.add(0, v.fc2_bias, p);
  rows.add(1, v.fc2_bias, p);
}

// xz = operand * in_proj^T, 64 columns at a time.
template <class Config, class Operand>
__device__ __forceinline__ void write_xz(const pm_next_params& next, const Operand& operand,
                                         typename Config::Weights& weights, const RowPair& at,
                                         int lane) {
  constexpr int D = Config::kWidth;
  constexpr int kSteps = D / 16;
  __half* to = static_cast<__half*>(next.xz) + at.row * (4 * D) + paired_column(lane);
#pragma unroll 1
  for (int part = 0; part < 4 * D / 64; ++part) {
    PairSum sums[2];
    sums[0].clear(), sums[1].clear();
    const uint4* words = weights.acquire();
    constexpr int kUnroll = Config::kRegisters ? kSteps : U2;
#pragma unroll kUnroll
    for (int k = 0; k < kSteps; ++k) {
      uint32_t a[4];
      operand.get(k, lane, a);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        sums[i].add(a, words + (2 * i * kSteps + k) * 32, kSteps * 32, lane);
      }
    }
    weights.release(lane);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint4 bits = sums[i].row(r, lane);
        if (at.exists[r]) *reinterpret_cast<uint4*>(to + r * 8 * 4 * D + i * 32) = bits;
      }
    }
    to += 64;
  }
}

// poses_3d = the normalised rows * head_weight^T + head_bias, in float32 throughout.
template <int D>
__device__ __forceinline__ void write_poses(const pm_next_params& next,
                                            const FragmentRows<D>& rows, const float (&norm)[2][D],
                                            const RowPair& at, int lane) {
  const int p = lane % 4;
  float sum[2][3] = {};
  rows.normalize(norm, next.epsilon, p, [&](int t, float2 first, float2 second) {
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const float2 w = read_pair(next.head_weight + axis * D + 8 * t + 2 * p);
      sum[0][axis] = fmaf(first.x, w.x, fmaf(first.y, w.y, sum[0][axis]));
      sum[1][axis] = fmaf(second.x, w.x, fmaf(second.y, w.y, sum[1][axis]));
    }
  });
#pragma unroll
  for (int r = 0; r < 2; ++r) {
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const float value = row_sum(sum[r][axis]) + next.head_bias[axis];
      if (p == axis && at.exists[r]) next.poses_3d[(at.row + 8 * r) * 3 + axis] = value;
    }
  }
}

template <class Config>
__device__ __forceinline__ void run_matrix_warps(typename Config::Shared& shared,
                                                 typename Config::Weights& weights,
                                                 const CrossArgs& c, const pm_block_tail_params& a,
                                                 int rows, int tiles, int warp, int lane) {
  constexpr int D = Config::kWidth;
  using Operand = std::conditional_t<Config::kRegisters, RegisterOperand<D>,
                                     SharedOperand<D, Config::kStride>>;
  const TailVectors<D>& v = shared.vectors;
  const int p = lane % 4;
  uint32_t phase = 0;
  int buffer = 0;
#pragma unroll 1
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles;
       tile += static_cast<int>(gridDim.x)) {
    const RowPair at(tile, rows, warp, lane);
    FragmentRows<D> stream;
    stream.load(a.residual + at.row * D + 2 * p, at.exists);
    barrier_wait(shared.gated_full + buffer, phase);
    __half* own = shared.gated[buffer] + warp * 16 * Config::kStride;
#pragma unroll 1
    for (int part = 0; part < Config::kQuarters; ++part) {
      stream.template multiply<4, U0>(weights.acquire(), lane, [&](int k, uint32_t(&to)[4]) {
        load_a(own, Config::kStride, 0, part * 64 + k * 16, lane, to);
      });
      weights.release(lane);  // after which every lane has read its part of the gated rows
    }
    if (Config::kRegisters && lane == 0) barrier_arrive(shared.gated_empty + buffer);

    Operand operand(own, lane);
    const auto keep = [&](int t, float2 x, float2 y) { operand.put(t, x, y); };
    stream.normalize(v.norm2, a.norm2_epsilon, p, keep);
    operand.ready();
    add_mlp<Config>(stream, operand, weights, v, lane);
    stream.normalize(v.shared_norm, a.shared_epsilon, p, [&](int t, float2 x, float2 y) {
      stream.sum[t][0] = x.x, stream.sum[t][1] = x.y;
      stream.sum[t][2] = y.x, stream.sum[t][3] = y.y;
    });
    if (a.position != nullptr) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int frame = min(static_cast<int>(at.row) + 8 * r, rows - 1) / c.joints % c.frames;
        stream.add(r, a.position + int64_t{frame} * D, p);
      }
    }
    stream.store(a.stream + at.row * D + 2 * p, at.exists);
    if (a.next.xz == nullptr) {
      write_poses(a.next, stream, v.next_norm, at, lane);
    } else {
      operand.ready();
      stream.normalize(v.next_norm, a.next.epsilon, p, keep);
      operand.ready();
      write_xz<Config>(a.next, operand, weights, at, lane);
    }
    if (!Config::kRegisters) {
      __syncwarp();  // every lane has read its operand
      if (lane == 0) barrier_arrive(shared.gated_empty + buffer);
    }
    if (++buffer == Config::kBuffers) buffer = 0, phase ^= 1;
  }
}

}  // namespace posemamba::cuda
