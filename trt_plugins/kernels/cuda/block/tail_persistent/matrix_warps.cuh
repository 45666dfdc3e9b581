// Matrix warps of the persistent tail: gated rows in, the residual stream and the next xz (or the
// poses) out. A warp owns sixteen rows of a tile from first to last, so nothing is exchanged.
#pragma once

#include "cuda/block/pair_columns.cuh"
#include "cuda/block/tail_persistent/fragment_rows.cuh"
#include "cuda/block/tail_persistent/shared.cuh"
#include "cuda/block/wgmma.cuh"
#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

// A lane's rows g and g + 8 of a tile.
struct RowPair {
  int64_t row;  // g
  bool exists[2];

  // `first_row`: of the warp's sixteen.
  __device__ __forceinline__ RowPair(int first_row, int rows, int lane) {
    const int first = first_row + lane / 4;
    row = first;
    exists[0] = first < rows, exists[1] = first + 8 < rows;
  }
};

// rows += operand * the next stage of the weights.
template <class Config, int D, int K>
__device__ __forceinline__ void multiply(FragmentRows<D>& rows, typename Config::Weights& weights,
                                         FragmentOperand<K>& operand, int lane) {
  if constexpr (Config::kWarpgroups) {
    start_products(rows.sum, operand.a, weights.acquire(), D);
    products_wait<0>();
    products_end(rows.sum);
  } else {
    rows.multiply_tiles(weights.acquire(), operand, lane);
  }
  weights.release();  // nothing reads the stage any more: products have ended
}

// 64 hidden channels of a warp's rows: the bias, before fc1 is added,
__device__ __forceinline__ void begin_hidden(FragmentRows<64>& hidden, const float* bias, int p) {
#pragma unroll
  for (int t = 0; t < 8; ++t) {
    const float2 b = read_pair(bias + 8 * t + 2 * p);
    hidden.sum[t][0] = hidden.sum[t][2] = b.x, hidden.sum[t][1] = hidden.sum[t][3] = b.y;
  }
}

// and fc2's operand, made of them.
__device__ __forceinline__ void activate(FragmentOperand<64>& active,
                                         const FragmentRows<64>& hidden) {
#pragma unroll
  for (int t = 0; t < 8; ++t) {
    const float (&h)[4] = hidden.sum[t];
    active.put(t, make_float2(gelu(h[0]), gelu(h[1])), make_float2(gelu(h[2]), gelu(h[3])));
  }
}

// rows += gelu(operand * fc1^T + bias) * fc2^T + bias, 64 hidden channels at a time.
template <class Config>
__device__ __forceinline__ void add_mlp(FragmentRows<Config::kWidth>& rows,
                                        FragmentOperand<Config::kWidth>& operand,
                                        typename Config::Weights& weights,
                                        const TailVectors<Config::kWidth, true>& v, int lane) {
  const int p = lane % 4;
#pragma unroll 1
  for (int part = 0; part < Config::kQuarters; ++part) {
    FragmentRows<64> hidden;
    begin_hidden(hidden, v.fc1_bias + part * 64, p);
    multiply<Config>(hidden, weights, operand, lane);
    FragmentOperand<64> active;
    activate(active, hidden);
    multiply<Config>(rows, weights, active, lane);
  }
  rows.add(0, v.fc2_bias, p);
  rows.add(1, v.fc2_bias, p);
}

// 64 columns of xz of a warp's rows, whichever way they were multiplied: bits(i, r) are the eight
// columns from 32 i + 8 (lane % 4) of its row r.
struct CoreColumns {
  FragmentRows<64> rows;

  __device__ __forceinline__ uint4 bits(int i, int r, int) const {
    uint32_t words[4];
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      words[t] = half_pair(rows.sum[i * 4 + t][2 * r], rows.sum[i * 4 + t][2 * r + 1]);
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
};
struct PairedColumns {
  PairSum pairs[2];

  // = operand * a stage.
  template <int K>
  __device__ __forceinline__ void multiply(const unsigned char* stage,
                                           const FragmentOperand<K>& operand, int lane) {
    constexpr int kSteps = K / 16;
    pairs[0].clear(), pairs[1].clear();
    const auto* words = reinterpret_cast<const uint4*>(stage);
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        pairs[i].add(operand.a[k], words + (2 * i * kSteps + k) * 32, kSteps * 32, lane);
      }
    }
  }
  __device__ __forceinline__ uint4 bits(int i, int r, int lane) const {
    return pairs[i].row(r, lane);
  }
};

template <int Columns, class Bits>
__device__ __forceinline__ void write_columns(const Bits& columns, __half* to, const RowPair& at,
                                              int lane) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const uint4 bits = columns.bits(i, r, lane);  // all lanes
      if (at.exists[r]) *reinterpret_cast<uint4*>(to + r * 8 * Columns + i * 32) = bits;
    }
  }
}

// xz = operand * in_proj^T, 64 columns at a time; of warpgroups' products two are under way at
// once.
template <class Config>
__device__ __forceinline__ void write_xz(const pm_next_params& next,
                                         FragmentOperand<Config::kWidth>& operand,
                                         typename Config::Weights& weights, const RowPair& at,
                                         int lane) {
  constexpr int kColumns = 4 * Config::kWidth;
  __half* to = static_cast<__half*>(next.xz) + at.row * kColumns + paired_column(lane);
  if constexpr (Config::kWarpgroups) {
#pragma unroll 1
    for (int column = 0; column < kColumns; column += 128, to += 128) {
      CoreColumns first, second;
      first.rows.clear();
      start_products(first.rows.sum, operand.a, weights.acquire(), 64);
      second.rows.clear();
      start_products(second.rows.sum, operand.a, weights.acquire(), 64);
      products_wait<1>();
      products_end(first.rows.sum);
      weights.release();
      write_columns<kColumns>(first, to, at, lane);
      products_wait<0>();
      products_end(second.rows.sum);
      weights.release();
      write_columns<kColumns>(second, to + 64, at, lane);
    }
  } else {
#pragma unroll 1
    for (int column = 0; column < kColumns; column += 64, to += 64) {
      PairedColumns columns;
      columns.multiply(weights.acquire(), operand, lane);
      weights.release();
      write_columns<kColumns>(columns, to, at, lane);
    }
  }
}

// poses_3d = the normalised rows * head_weight^T + head_bias, in float32 throughout.
template <int D>
__device__ __forceinline__ void write_poses(const pm_next_params& next, const FragmentRows<D>& rows,
                                            const float (&norm)[2][D], const RowPair& at,
                                            int lane) {
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

// From the MLP's sum on: the shared norm, the position, and the stream, which is stored.
template <int D>
__device__ __forceinline__ void finish_stream(FragmentRows<D>& stream,
                                              const TailVectors<D, true>& v, const CrossArgs& c,
                                              const pm_block_tail_params& a, const RowPair& at,
                                              int rows, int p) {
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
}

template <class Config>
__device__ __forceinline__ void run_matrix_warps(typename Config::Shared& shared,
                                                 typename Config::Weights& weights,
                                                 const CrossArgs& c, const pm_block_tail_params& a,
                                                 int rows, int tiles, int warp, int lane) {
  constexpr int D = Config::kWidth;
  const TailVectors<D, true>& v = shared.vectors;
  const int p = lane % 4;
  uint32_t phase = 0;
  int buffer = 0;
#pragma unroll 1
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
    const RowPair at(tile * kTileRows + warp * 16, rows, lane);
    FragmentRows<D> stream;
    stream.load(a.residual + at.row * D + 2 * p, at.exists);
    barrier_wait(shared.gated_full + buffer, phase);
    const __half* gated = shared.gated[buffer] + warp * 16 * Config::kStride;
#pragma unroll 1
    for (int part = 0; part < Config::kQuarters; ++part) {
      FragmentOperand<64> rows_of_part;
      rows_of_part.load(gated + part * 64, Config::kStride, lane);
      multiply<Config>(stream, weights, rows_of_part, lane);
    }
    barrier_arrive(shared.gated_empty + buffer);
    if (++buffer == Config::kBuffers) buffer = 0, phase ^= 1;

    FragmentOperand<D> operand;
    const auto keep = [&](int t, float2 x, float2 y) { operand.put(t, x, y); };
    stream.normalize(v.norm2, a.norm2_epsilon, p, keep);
    add_mlp<Config>(stream, operand, weights, v, lane);
    finish_stream(stream, v, c, a, at, rows, p);
    if (a.next.xz == nullptr) {
      write_poses(a.next, stream, v.next_norm, at, lane);
    } else {
      stream.normalize(v.next_norm, a.next.epsilon, p, keep);
      write_xz<Config>(a.next, operand, weights, at, lane);
    }
  }
}

}  // namespace posemamba::cuda
