// Matrix warps of the tail of d_model 256: a tile's stream is 128 registers a thread, so its
// normalised rows pass through shared memory, and gated rows come from global memory straight into
// the operand's registers.
#pragma once

#include "cuda/block/gathered.cuh"
#include "cuda/block/tail_persistent/gated_rows.cuh"
#include "cuda/block/tail_persistent/matrix_warps.cuh"
#include "cuda/block/tail_persistent/wide_shared.cuh"

namespace posemamba::cuda {

// stream += the gated rows * out_proj^T, 64 inputs at a time; the next ones are on their way.
template <class Config>
__device__ __forceinline__ void add_gated(FragmentRows<Config::kWidth>& stream,
                                          typename Config::Weights& weights,
                                          const __half* const (&row)[2]) {
  constexpr int D = Config::kWidth;
  const __half* next[2] = {row[0], row[1]};
  FragmentOperand<64> operand[2];
  load_gathered(operand[0].a, next);
#pragma unroll 1
  for (int part = 0; part < Config::kQuarters; part += 2) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      start_products(stream.sum, operand[i].a, weights.acquire(), D);
      if (part + i + 1 < Config::kQuarters) {
        next[0] += 64, next[1] += 64;
        load_gathered(operand[1 - i].a, next);
      }
      products_wait<0>();
      products_end(stream.sum);
      weights.release();
    }
  }
}

// stream += gelu(rows * fc1^T + bias) * fc2^T + bias, 64 hidden channels at a time. A part's fc2 is
// under way while the next part's fc1 starts.
template <class Config>
__device__ __forceinline__ void add_wide_mlp(FragmentRows<Config::kWidth>& stream,
                                             const __half* rows, typename Config::Weights& weights,
                                             const TailVectors<Config::kWidth, true>& v, int p) {
  constexpr int D = Config::kWidth;
  FragmentOperand<64> active;
#pragma unroll 1
  for (int part = 0; part < Config::kQuarters; ++part) {
    FragmentRows<64> hidden;
#pragma unroll
    for (int t = 0; t < 8; ++t) {
      const float2 b = read_pair(v.fc1_bias + part * 64 + 8 * t + 2 * p);
      hidden.sum[t][0] = hidden.sum[t][2] = b.x, hidden.sum[t][1] = hidden.sum[t][3] = b.y;
    }
    start_products<D / 16>(hidden.sum, rows, weights.acquire());
    if (part > 0) {
      products_wait<1>();
      weights.release();
    }
    products_wait<0>();
    products_end(hidden.sum);
    weights.release();
    products_end(stream.sum);
#pragma unroll
    for (int t = 0; t < 8; ++t) {
      const float(&h)[4] = hidden.sum[t];
      active.put(t, make_float2(gelu(h[0]), gelu(h[1])), make_float2(gelu(h[2]), gelu(h[3])));
    }
    start_products(stream.sum, active.a, weights.acquire(), D);
  }
  products_wait<0>();
  products_end(stream.sum);
  weights.release();
  stream.add(0, v.fc2_bias, p);
  stream.add(1, v.fc2_bias, p);
}

// What the compiler shall compute anew rather than keep in registers.
__device__ __forceinline__ int found_again(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

// Tiles are taken from the batch's end: its gated rows are the ones made last.
template <class Config>
__device__ __forceinline__ void run_wide_warps(typename Config::Shared& shared, const CrossArgs& c,
                                               const pm_block_tail_params& a,
                                               const Positions& positions, int tiles, int warp,
                                               int lane) {
  constexpr int D = Config::kWidth;
  const TailVectors<D, true>& v = shared.vectors;
  const int p = lane % 4;
  const int group = warp / 4;
  const int own = warp % 4 * 16 + lane / 4;  // of the warpgroup's rows, and the eighth after it
  __half* rows = shared.rows[group];
  typename Config::Weights weights(shared.weights, lane);
  uint32_t phase = 0;
  const auto meet = [&] {
    barrier_arrive(shared.group + group);
    barrier_wait(shared.group + group, phase);
    phase ^= 1;
  };
#pragma unroll 1
  for (int tile = tiles - 1 - static_cast<int>(blockIdx.x); tile >= 0;
       tile -= static_cast<int>(gridDim.x)) {
    const int first = tile * Config::kRows + warp * 16;
    FragmentRows<D> stream;
    {
      const RowPair at(first, positions.rows, lane);
      const __half* gated[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = min(static_cast<int>(at.row) + 8 * r, positions.rows - 1);
        gated[r] = gated_row<D>(c, positions.place(row)) + 8 * p;
      }
      stream.load(a.residual + at.row * D + 2 * p, at.exists);
      add_gated<Config>(stream, weights, gated);
    }
    meet();  // nobody reads the tile before any more
    stream.normalize(v.norm2, a.norm2_epsilon, p, [&](int t, float2 x, float2 y) {
      __half* to = rows + (t * Config::kGroupRows + own) * 8 + 2 * p;
      put_half2(to, x);
      put_half2(to + 8 * 8, y);
    });
    writes_before_products();
    meet();  // the rows are complete
    add_wide_mlp<Config>(stream, rows, weights, v, p);
    const RowPair at(found_again(first), positions.rows, lane);
    FragmentOperand<D> operand;
    finish_rows<Config>(stream, operand, weights, v, c, a, at, positions.rows, lane);
  }
}

// The copying warp: all stages of every tile, one after the other. With lanes to spare, it brings
// what the matrix warps read of the next tile into the L2.
template <class Config>
__device__ __forceinline__ void run_wide_copies(typename Config::Shared& shared,
                                                const unsigned char* stages, int count, int tiles,
                                                const CrossArgs& c, const pm_block_tail_params& a,
                                                const Positions& positions, int tile_of_all,
                                                int lane) {
  constexpr int kBytes = WeightStage<Config::kWidth>::kBytes;
  const uint32_t rank = Config::kPaired ? pair_rank() : 0;
  int slot = 0;
  uint32_t phase = 0;
  if (!Config::kAhead && lane != 0) return;
  constexpr int kLines = Config::kRows * 16;
  const int each = (kLines + count - 1) / count;
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    tile_of_all -= static_cast<int>(gridDim.x);
#pragma unroll 1
    for (int number = 0; number < count; ++number) {
      if (lane == 0) {
      // A slot's first wait is for the phase before the barrier's first: complete already.
      uint64_t* full = shared.weights.full + slot;
      unsigned char* to = shared.weights.stage[slot];
      if constexpr (Config::kPaired) {
        pair_wait(shared.weights.empty + slot, phase ^ 1);
        pair_copy(to, stages + number * kBytes, kBytes, rank, full);
      } else {
        barrier_wait(shared.weights.empty + slot, phase ^ 1);
        bulk_copy(to, stages + number * kBytes, kBytes, full);
      }
      }
      if constexpr (Config::kAhead) {
        __syncwarp();
        if (tile_of_all >= 0) {
          for (int i = number * each + lane; i < min((number + 1) * each, kLines); i += 32) {
            const int row = min(tile_of_all * Config::kRows + i / 16, positions.rows - 1);
            const char* at =
                i % 16 < 8
                    ? reinterpret_cast<const char*>(
                          gated_row<Config::kWidth>(c, positions.place(row))) +
                          i % 8 * 128
                    : reinterpret_cast<const char*>(a.residual + int64_t{row} * Config::kWidth) +
                          i % 8 * 128;
            asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
          }
        }
      }
      if (++slot == Config::kSlots) slot = 0, phase ^= 1;
    }
  }
}

}  // namespace posemamba::cuda
