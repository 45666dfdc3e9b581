// Matrix warps of the persistent tail of d_model 256. A tile's stream is 128 registers a thread, so
// its normalised rows pass through shared memory, and gated rows, which a kernel of their own has
// made (gated_rows.cuh), come from global memory straight into the operand's registers.
#pragma once

#include "cuda/block/gathered.cuh"
#include "cuda/block/tail_persistent/core_ring.cuh"
#include "cuda/block/tail_persistent/gated_rows.cuh"
#include "cuda/block/tail_persistent/matrix_warps.cuh"

namespace posemamba::cuda {

// Two warpgroups own 64 rows of a tile each, from first to last; a warp of the third copies
// weights.
struct TailApart {
  static constexpr int kWidth = 256;
  static constexpr int kQuarters = WeightStage<kWidth>::kQuarters;
  static constexpr bool kWarpgroups = true;
  static constexpr int kGroups = kMatrixWarps / 4;
  static constexpr int kGroupRows = kTileRows / kGroups;
  static constexpr int kThreads = 128 * (kGroups + 1);
  // The launch gives every thread 168 registers; the third warpgroup leaves most of its own to the
  // two that multiply. A larger sum would wait for ever.
  static constexpr int kMatrixRegisters = 240;
  static constexpr int kCopyRegisters = 3 * 168 - 2 * kMatrixRegisters;
  static constexpr int kRing = 4;
  using Weights = StageReader<kWidth, kRing>;

  struct Shared {
    CoreRing<kWidth, kRing> weights;
    // A warpgroup's normalised rows as core matrices, rows fastest: fc1's operand.
    alignas(128) __half rows[kGroups][kGroupRows * kWidth];
    alignas(16) TailVectors<kWidth, true> vectors;
    uint64_t group[kGroups];  // the four warps of a warpgroup have arrived
  };
};

// stream += the gated rows * out_proj^T, 64 inputs at a time; the next ones are on their way.
// `row`: where this lane's channels of rows g and g + 8 begin.
__device__ __forceinline__ void add_gated(FragmentRows<TailApart::kWidth>& stream,
                                          TailApart::Weights& weights,
                                          const __half* const (&row)[2]) {
  const __half* next[2] = {row[0], row[1]};
  FragmentOperand<64> operand[2];
  load_gathered(operand[0].a, next);
#pragma unroll 1
  for (int part = 0; part < TailApart::kQuarters; part += 2) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      start_products(stream.sum, operand[i].a, weights.acquire(), TailApart::kWidth);
      if (part + i + 1 < TailApart::kQuarters) {
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
__device__ __forceinline__ void add_mlp_of_shared(FragmentRows<TailApart::kWidth>& stream,
                                                  const __half* rows, TailApart::Weights& weights,
                                                  const TailVectors<TailApart::kWidth, true>& v,
                                                  int p) {
  constexpr int D = TailApart::kWidth;
  FragmentOperand<64> active;
#pragma unroll 1
  for (int part = 0; part < TailApart::kQuarters; ++part) {
    FragmentRows<64> hidden;
    begin_hidden(hidden, v.fc1_bias + part * 64, p);
    start_products<D / 16>(hidden.sum, rows, weights.acquire());
    if (part > 0) {
      products_wait<1>();
      weights.release();  // fc2's of the part before
    }
    products_wait<0>();
    products_end(hidden.sum);
    products_end(stream.sum);
    weights.release();
    activate(active, hidden);
    start_products(stream.sum, active.a, weights.acquire(), D);
  }
  products_wait<0>();
  products_end(stream.sum);
  weights.release();
  stream.add(0, v.fc2_bias, p);
  stream.add(1, v.fc2_bias, p);
}

// This lane, read anew: what is computed from it need not stay in registers.
__device__ __forceinline__ int lane_again() {
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

// Tiles are taken from the batch's end: its gated rows are the ones made last. Where poses follow
// the stream, a kernel of their own makes them (stream_poses.cuh): here they would spill.
__device__ __forceinline__ void run_warps_apart(TailApart::Shared& shared, const CrossArgs& c,
                                                const pm_block_tail_params& a,
                                                const Positions& positions, int tiles, int warp) {
  constexpr int D = TailApart::kWidth;
  const TailVectors<D, true>& v = shared.vectors;
  const int group = warp / 4;
  __half* rows = shared.rows[group];
  TailApart::Weights weights(shared.weights);
  uint32_t phase = 0;
  const auto meet = [&] {
    barrier_arrive(shared.group + group);
    barrier_wait(shared.group + group, phase);
    phase ^= 1;
  };
#pragma unroll 1
  for (int tile = tiles - 1 - static_cast<int>(blockIdx.x); tile >= 0;
       tile -= static_cast<int>(gridDim.x)) {
    const int first = tile * kTileRows + warp * 16;
    FragmentRows<D> stream;
    {
      const int lane = lane_again();
      const RowPair at(first, positions.rows, lane);
      const __half* gated[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = min(static_cast<int>(at.row) + 8 * r, positions.rows - 1);
        gated[r] = gated_row<D>(c, positions.place(row)) + lane % 4 * 8;
      }
      stream.load(a.residual + at.row * D + lane % 4 * 2, at.exists);
      add_gated(stream, weights, gated);
    }
    const int lane = lane_again();
    const int p = lane % 4;
    meet();  // nobody reads the tile before any more
    stream.normalize(v.norm2, a.norm2_epsilon, p, [&](int t, float2 x, float2 y) {
      __half* to = rows + (t * TailApart::kGroupRows + warp % 4 * 16 + lane / 4) * 8 + 2 * p;
      put_half2(to, x);
      put_half2(to + 8 * 8, y);
    });
    writes_before_products();
    meet();  // the rows are complete
    add_mlp_of_shared(stream, rows, weights, v, p);
    const RowPair at(first, positions.rows, lane_again());
    finish_stream(stream, v, c, a, at, positions.rows, p);
    if (a.next.xz == nullptr) continue;
    FragmentOperand<D> operand;
    stream.normalize(v.next_norm, a.next.epsilon, p,
                     [&](int t, float2 x, float2 y) { operand.put(t, x, y); });
    write_xz<TailApart>(a.next, operand, weights, at, lane);
  }
}

}  // namespace posemamba::cuda
