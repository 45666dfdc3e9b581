// A thread block for every 16 or 32 positions of a batch item, on sm_90a: out_norm to the next
// in_proj in one launch, as tail_single, but products are those of warpgroups. For grids that give
// a multiprocessor one block, where what counts is how long a block takes from first to last.
#pragma once

#include "cuda/block/gate_streams.cuh"
#include "cuda/block/poses.cuh"
#include "cuda/block/tail_warpgroup/weights.cuh"

namespace posemamba::cuda {

template <int D, int Rows>
struct TailWarpgroupShared {
  using Core = CoreRows<Rows>;
  static constexpr int kParts = TailTiles<D>::parts(kOutProj);
  static constexpr int kSum = D + 4;  // floats of a row: outputs by rows hit all banks
  static constexpr int kOut = 4 * D + kRowPad;

  struct Work {
    alignas(128) __half wide[Core::size(2 * D)];  // gated rows, then the MLP's hidden ones
    alignas(16) float sum[kParts][Rows * kSum];   // what out_proj and fc2 add to the stream
  };
  union {
    Work work;
    alignas(16) __half out[Rows * kOut];  // xz of the next block, once the work is done
  };
  alignas(128) __half narrow[Core::size(D)];  // normalised rows
  alignas(16) TailVectors<D, false> vectors;
  uint64_t vectors_there;
  alignas(16) const __half* from[kTailWarps][Rows / kTailWarps][8];  // see find_rows
};

// Count gated rows to shared memory, a warp's own.
template <int Count, int D, int Rows>
__device__ __forceinline__ void gate_core_rows(TailWarpgroupShared<D, Rows>& shared,
                                               const pm_block_tail_params& a, const Place& place) {
  GateRows<D, Count> rows;
  typename GateRows<D, Count>::Group y;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const auto& from = shared.from[place.warp][r];
    const auto load = [&](int stream, typename GateRows<D, Count>::Bits& to) {
      const __half* row = from[stream];
      __builtin_assume(__isGlobal(row));
      to.load(row, place.lane);
    };
#pragma unroll
    for (int k = 0; k < 4; ++k) load(k, rows.part[r][k]);
    load(4, rows.own[r]);
    load(5, rows.other[r]);
    load(6, rows.gate[r]);
  }
  barrier_wait(&shared.vectors_there, 0);
  rows.sum_directions(4, y);
  const TailVectors<D, false>& v = shared.vectors;
  rows.add_skip(v, place.lane, y);
  y.normalize(v.out_norm[0], v.out_norm[1], a.out_epsilon, place.lane);
  write_gated(y, rows.gate, place.lane, [&](int r, int channel) {
    return shared.work.wide + CoreRows<Rows>::at(place.row0 + r, channel);
  });
}

template <int D, int Rows, int Count>
__device__ __forceinline__ void write_core_rows(__half* to, const Place& place,
                                                const RowGroup<D, Count>& rows) {
  if (!rows.used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      write_quad(to + CoreRows<Rows>::at(place.row0 + r, rows.channel(q, place.lane)),
                 rows.quad[r][q]);
    }
  }
}

// rows += what a product left for them.
template <int D, int Rows, int Count>
__device__ __forceinline__ void add_sums(const TailWarpgroupShared<D, Rows>& shared,
                                         const Place& place, RowGroup<D, Count>& rows) {
  using Shared = TailWarpgroupShared<D, Rows>;
  if (!rows.used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      const int at = (place.row0 + r) * Shared::kSum + rows.channel(q, place.lane);
#pragma unroll
      for (int part = 0; part < Shared::kParts; ++part) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(shared.work.sum[part] + at);
      }
    }
  }
}

template <int D, int Rows>
__device__ __forceinline__ void run_tail_warpgroup(const CrossArgs& c,
                                                   const pm_block_tail_params& a) {
  using Shared = TailWarpgroupShared<D, Rows>;
  constexpr int kThreads = 32 * kTailWarps;
  constexpr int kCount = Rows / kTailWarps;  // rows a warp normalises
  using Group = RowGroup<D, kCount>;
  constexpr int kFirst = TailTiles<D>::first(kFc1);  // on their way while rows are gated
  extern __shared__ __align__(128) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const Place place = place_of<kTailWarps, Rows>(c.steps);
  const TailVectors<D, false>& v = shared.vectors;

  if (thread == 0) {
    barrier_init(&shared.vectors_there, 1);
    bulk_barriers_ready();
    bulk_copy(&shared.vectors, a.vectors, sizeof(shared.vectors), &shared.vectors_there);
  }
  TailWeights<D, Rows> weights(a, place.warp, place.lane);
  weights.template load<0, kFirst>();
  find_rows<D>(shared.from[place.warp], c, a, place);
  __syncthreads();    // the barrier is there, and where rows are
  dependency_wait();  // the directions, u, z and the residual come from earlier launches
  dependency_release();

  gate_core_rows<kCount>(shared, a, place);
  writes_before_products();  // waits for loads too, so the next ones come behind it
  weights.template load<kFirst, weights.kRing>();
  Group rows;  // the residual stream
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!rows.used(place.lane)) continue;
      const float* residual = a.residual + (place.item + place.position(place.row0 + r)) * D;
      rows.quad[r][q] = read_quad(residual + rows.channel(q, place.lane));
    }
  }
  __syncthreads();  // the gated rows are complete
  const auto leave_sums = [&](int part, int output, const OutputSums<Rows>& sums) {
    float* to = shared.work.sum[part] + output + place.lane / 4;
#pragma unroll
    for (int i = 0; i < Rows / 2; ++i) {
      const int row = i / 4 * 8 + place.lane % 4 * 2 + i % 2;
      to[row * Shared::kSum + i / 2 % 2 * 8] = sums[i / 4][i % 4];
    }
  };
  weights.template run<kOutProj>(shared.work.wide, leave_sums);
  __syncthreads();  // the sums are complete
  add_sums(shared, place, rows);
  Group normal = rows;
  normal.normalize(v.norm2[0], v.norm2[1], a.norm2_epsilon, place.lane);
  write_core_rows<D, Rows>(shared.narrow, place, normal);
  writes_before_products();
  __syncthreads();  // the normalised rows are complete; nobody reads the gated ones any more
  weights.template run<kFc1>(shared.narrow, [&](int, int output, const OutputSums<Rows>& sums) {
    const float* bias = v.fc1_bias + output + place.lane / 4;
    OutputSums<Rows> active;
#pragma unroll
    for (int i = 0; i < Rows / 2; ++i) {
      active[i / 4][i % 4] = gelu(sums[i / 4][i % 4] + bias[i / 2 % 2 * 8]);
    }
    store_outputs(active, place.lane, [&](int row, int channel) {
      return shared.work.wide + CoreRows<Rows>::at(row, output + channel);
    });
  });
  writes_before_products();
  __syncthreads();  // the hidden rows are complete
  weights.template run<kFc2>(shared.work.wide, leave_sums);
  __syncthreads();  // the sums are complete
  add_sums(shared, place, rows);
  if (rows.used(place.lane)) {
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
#pragma unroll
      for (int q = 0; q < Group::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(v.fc2_bias + rows.channel(q, place.lane));
      }
    }
  }
  rows.normalize(v.shared_norm[0], v.shared_norm[1], a.shared_epsilon, place.lane);
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    if (!rows.used(place.lane) || !place.inside(place.row0 + r)) continue;
    float* to = a.stream + (place.item + place.first + place.row0 + r) * D;
    const int frame = (place.first + place.row0 + r) / c.joints;
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const int channel = rows.channel(q, place.lane);
      if (a.position != nullptr) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(a.position + frame * D + channel);
      }
      write_quad(to + channel, rows.quad[r][q]);
    }
  }
  rows.normalize(v.next_norm[0], v.next_norm[1], a.next.epsilon, place.lane);
  if (a.next.xz == nullptr) {
    write_poses<D, kCount>(a.next, place, rows);
    return;
  }
  write_core_rows<D, Rows>(shared.narrow, place, rows);
  writes_before_products();
  __syncthreads();  // the rows are complete, and nobody reads `work` any more
  weights.template run<kInProj>(shared.narrow, [&](int, int output, const OutputSums<Rows>& sums) {
    store_outputs(sums, place.lane, [&](int row, int channel) {
      return shared.out + row * Shared::kOut + output + channel;
    });
  });
  __syncthreads();                    // the outputs are complete
  constexpr int kPieces = 4 * D / 8;  // 16 bytes each
  auto* xz = static_cast<__half*>(a.next.xz) + (place.item + place.first) * 4 * D;
  const int left = place.steps - place.first;
#pragma unroll 4
  for (int i = thread; i < Rows * kPieces; i += kThreads) {
    const int row = i / kPieces;
    const int column = i % kPieces * 8;
    if (row >= left) break;
    *reinterpret_cast<uint4*>(xz + row * 4 * D + column) =
        *reinterpret_cast<const uint4*>(shared.out + row * Shared::kOut + column);
  }
}

template <int D, int Rows>
__global__ void __launch_bounds__(32 * kTailWarps, 1)
    block_tail_warpgroup_kernel(const __grid_constant__ CrossArgs c,
                                const __grid_constant__ pm_block_tail_params a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  run_tail_warpgroup<D, Rows>(c, a);
#endif
}

}  // namespace posemamba::cuda
