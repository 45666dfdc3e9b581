// A thread block for every 16 or 32 positions of a batch item: out_norm to the next in_proj in one
// launch. fp16 operands on the tensor cores, float32 everywhere else. For grids of few blocks,
// where latency counts, and for GPUs that no design for batches fits.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/tail_single/next.cuh"

namespace posemamba::cuda {

// Count gated rows from `row0` on, to shared memory.
template <int Count, int D, int BlockRows>
__device__ __forceinline__ void gate_rows(TailShared<D, BlockRows>& shared, const CrossArgs& c,
                                          const pm_block_tail_params& a, const Place& place,
                                          int row0) {
  using Rows = GateRows<D, Count>;
  const GateSource from = gate_source(c, a, blockIdx.y);
  Rows rows;
  typename Rows::Group y;
  GridPoint at[Count];
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const int position = place.position(row0 + r);
    at[r].frame = position / c.joints;
    at[r].joint = position - at[r].frame * c.joints;
    rows.load(r, c, a, c.directions, from, position, at[r], shared.limb[at[r].joint], place.lane);
  }
  const TailVectors<D, false>& v = shared.vectors;
  rows.skip(v, place.lane, y);
  rows.add_directions(c.directions, y);
#pragma unroll 1
  for (int k = Rows::kFour; k < c.directions; ++k) {
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      rows.part[r][0].load(Rows::direction(c, from, k, at[r]), place.lane);
#pragma unroll
      for (int q = 0; q < Rows::Group::kQuads; ++q) {
        y.quad[r][q] = y.quad[r][q] + quad_of(rows.part[r][0].quad[q]);
      }
    }
  }
  y.normalize(v.out_norm[0], v.out_norm[1], a.out_epsilon, place.lane);
  constexpr int kStride = shared.kWide;
  write_gated(y, rows.gate, place.lane, shared.work.wide + row0 * kStride, kStride);
}

// A block owns Rows positions of one batch item. 16 warps run one block an SM (128 registers a
// thread), 8 warps two or, where shared memory allows, three (80 registers).
template <int D, int Warps, int Rows>
__global__ void __launch_bounds__(32 * Warps, Warps == 16 ? 1 : (D > 128 ? 2 : 3))
    block_tail_kernel(const __grid_constant__ CrossArgs c,
                      const __grid_constant__ pm_block_tail_params a) {
  using Shared = TailShared<D, Rows>;
  constexpr int kInner = 2 * D;
  constexpr int kCount = Rows / Warps;                     // rows a warp normalises
  constexpr int kAtOnce = kCount == 2 && D < 256 ? 2 : 1;  // rows gated at once, for the registers
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const Place place = place_of<Warps, Rows>(c.steps);

  shared.vectors.copy_from(a.vectors, thread, 32 * Warps);
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  BlockProduct<kInner, D, Warps, Rows> out_proj;
  out_proj.prime(a.out_proj, place.warp, place.lane);
  copies_done();
  __syncthreads();    // the parameters are there
  dependency_wait();  // the directions, u, z and the residual come from earlier launches
  dependency_release();

  constexpr int kPieces = D / 4;  // of a row of the stream, 16 bytes each
#pragma unroll
  for (int i = place.lane; i < kCount * kPieces; i += 32) {
    const int row = place.row0 + i / kPieces;
    const int channel = i % kPieces * 4;
    copy_async(shared.work.stream + row * Shared::kStream + channel,
               a.residual + (place.item + place.position(row)) * D + channel);
  }
#pragma unroll 1
  for (int r = 0; r < kCount; r += kAtOnce) {
    gate_rows<kAtOnce>(shared, c, a, place, place.row0 + r);
  }
  copies_done();
  __syncthreads();  // gated rows and residual are complete; nobody reads `limb` any more
  const TailVectors<D, false>& v = shared.vectors;
  const auto add_to_stream = [&](int row, int column, float2 value) {
    auto* at = reinterpret_cast<float2*>(shared.work.stream + row * Shared::kStream + column);
    const float2 old = *at;
    *at = make_float2(old.x + value.x, old.y + value.y);
  };
  out_proj.run(shared.work.wide, Shared::kWide, add_to_stream);

  BlockProduct<D, kInner, Warps, Rows> fc1;
  fc1.prime(a.fc1, place.warp, place.lane);
  __syncthreads();  // the sums are complete
  RowGroup<D, kCount> rows;
  read_stream(shared, place, rows);
  rows.normalize(v.norm2[0], v.norm2[1], a.norm2_epsilon, place.lane);
  write_narrow(shared, place, rows);
  __syncthreads();  // the normalised rows are complete; nobody reads the gated ones any more
  fc1.run(shared.narrow, Shared::kNarrow, [&](int row, int column, float2 value) {
    const float2 bias = *reinterpret_cast<const float2*>(v.fc1_bias + column);
    put_half2(shared.work.wide + row * Shared::kWide + column,
              make_float2(gelu(value.x + bias.x), gelu(value.y + bias.y)));
  });
  BlockProduct<kInner, D, Warps, Rows> fc2;
  fc2.prime(a.fc2, place.warp, place.lane);
  __syncthreads();  // the hidden rows are complete
  fc2.run(shared.work.wide, Shared::kWide, [&](int row, int column, float2 value) {
    const float2 bias = *reinterpret_cast<const float2*>(v.fc2_bias + column);
    add_to_stream(row, column, make_float2(value.x + bias.x, value.y + bias.y));
  });
  __syncthreads();  // the sums are complete

  read_stream(shared, place, rows);
  rows.normalize(v.shared_norm[0], v.shared_norm[1], a.shared_epsilon, place.lane);
  if (a.position != nullptr && rows.used(place.lane)) {
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
      const float* at = a.position + place.position(place.row0 + r) / c.joints * D;
#pragma unroll
      for (int q = 0; q < RowGroup<D, kCount>::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(at + rows.channel(q, place.lane));
      }
    }
  }
  run_next<Warps>(shared, a.next, a.stream, place, rows);
}

}  // namespace posemamba::cuda
