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
  using Core = CoreRows<Rows, kRowsAtOnce<D, Rows>>;
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

// Rows of a lane, and the lanes of a row.
template <int D, int Rows>
constexpr int kCount = Rows / kTailWarps / kRowsAtOnce<D, Rows>;
template <int D, int Rows>
constexpr int kRowLanes = 32 / kRowsAtOnce<D, Rows>;
template <int D, int Rows>
using StreamGroup = RowGroup<D, kCount<D, Rows>, false, kRowLanes<D, Rows>>;

// A lane's first row, and which of the row's lanes it is.
template <int D, int Rows>
__device__ __forceinline__ Place own_place(Place place) {
  place.row0 += place.lane % kRowsAtOnce<D, Rows>;
  place.lane /= kRowsAtOnce<D, Rows>;
  return place;
}

template <int D, int Rows>
using WarpGate = GateRows<D, kCount<D, Rows>, kRowLanes<D, Rows>>;

// Starts the reads of a warp's rows that the scan does not write.
template <int D, int Rows>
__device__ __forceinline__ void gate_begins(const TailWarpgroupShared<D, Rows>& shared,
                                            const Place& own, WarpGate<D, Rows>& rows) {
  const auto* from = shared.from[own.warp] + own.row0 % (Rows / kTailWarps);
#pragma unroll
  for (int r = 0; r < kCount<D, Rows>; ++r) {
    rows.own[r].load(from[r][4], own.lane, BeforeWait{});
    rows.other[r].load(from[r][5], own.lane, BeforeWait{});
    rows.gate[r].load(from[r][6], own.lane, BeforeWait{});
  }
}

// Gated rows to shared memory, a warp's own.
template <int D, int Rows>
__device__ __forceinline__ void gate_core_rows(TailWarpgroupShared<D, Rows>& shared,
                                               const pm_block_tail_params& a, const Place& own,
                                               WarpGate<D, Rows>& rows) {
  const auto* from = shared.from[own.warp] + own.row0 % (Rows / kTailWarps);
#pragma unroll
  for (int r = 0; r < kCount<D, Rows>; ++r) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const __half* row = from[r][k];
      __builtin_assume(__isGlobal(row));
      rows.part[r][k].load(row, own.lane);
    }
  }
  barrier_wait(&shared.vectors_there, 0);
  const TailVectors<D, false>& v = shared.vectors;
  typename WarpGate<D, Rows>::Group y;
  rows.skip(v, own.lane, y);
  rows.add_directions(4, y);
  y.normalize(v.out_norm[0], v.out_norm[1], a.out_epsilon, own.lane);
  write_gated(y, rows.gate, own.lane, [&](int r, int channel) {
    return shared.work.wide + TailWarpgroupShared<D, Rows>::Core::at(own.row0 + r, channel);
  });
}

template <int D, int Rows>
__device__ __forceinline__ void write_core_rows(__half* to, const Place& own,
                                                const StreamGroup<D, Rows>& rows) {
  if (!rows.used(own.lane)) return;
#pragma unroll
  for (int r = 0; r < kCount<D, Rows>; ++r) {
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      write_quad(
          to + TailWarpgroupShared<D, Rows>::Core::at(own.row0 + r, rows.channel(q, own.lane)),
          rows.quad[r][q]);
    }
  }
}

// rows += what a product left for them.
template <int D, int Rows>
__device__ __forceinline__ void add_sums(const TailWarpgroupShared<D, Rows>& shared,
                                         const Place& own, StreamGroup<D, Rows>& rows) {
  using Shared = TailWarpgroupShared<D, Rows>;
  if (!rows.used(own.lane)) return;
#pragma unroll
  for (int r = 0; r < kCount<D, Rows>; ++r) {
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      const int at = (own.row0 + r) * Shared::kSum + rows.channel(q, own.lane);
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
  using Group = StreamGroup<D, Rows>;
  constexpr int kRows = kCount<D, Rows>;             // of a lane
  constexpr int kFirst = TailTiles<D>::first(kFc1);  // on their way while rows are gated
  extern __shared__ __align__(128) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const Place place = place_of<kTailWarps, Rows>(c.steps);
  const Place own = own_place<D, Rows>(place);
  const TailVectors<D, false>& v = shared.vectors;

  if (thread == 0) {
    barrier_init(&shared.vectors_there, 1);
    bulk_barriers_ready();
    bulk_copy(&shared.vectors, a.vectors, sizeof(shared.vectors), &shared.vectors_there);
  }
  TailWeights<D, Rows> weights(a, place.warp, place.lane);
  weights.template load<0, kFirst>();
  find_rows<D>(shared.from[place.warp], c, a, place);
  __syncthreads();  // the barrier is there, and where rows are
  WarpGate<D, Rows> gate;
  gate_begins(shared, own, gate);
  Group rows;  // the residual stream
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!rows.used(own.lane)) continue;
      const float* residual = a.residual + (own.item + own.position(own.row0 + r)) * D;
      rows.quad[r][q] =
          BeforeWait{}(reinterpret_cast<const float4*>(residual + rows.channel(q, own.lane)));
    }
  }
  dependency_wait();  // the directions come from the launch before
  dependency_release();

  gate_core_rows(shared, a, own, gate);
  writes_before_products();  // waits for loads too, so the next ones come behind it
  weights.template load<kFirst, weights.kRing>();
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
  add_sums(shared, own, rows);
  Group normal = rows;
  normal.normalize(v.norm2[0], v.norm2[1], a.norm2_epsilon, own.lane);
  write_core_rows<D, Rows>(shared.narrow, own, normal);
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
      return shared.work.wide + Shared::Core::at(row, output + channel);
    });
  });
  writes_before_products();
  __syncthreads();  // the hidden rows are complete
  weights.template run<kFc2>(shared.work.wide, leave_sums);
  __syncthreads();  // the sums are complete
  add_sums(shared, own, rows);
  if (rows.used(own.lane)) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int q = 0; q < Group::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(v.fc2_bias + rows.channel(q, own.lane));
      }
    }
  }
  rows.normalize(v.shared_norm[0], v.shared_norm[1], a.shared_epsilon, own.lane);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (!rows.used(own.lane) || !own.inside(own.row0 + r)) continue;
    float* to = a.stream + (own.item + own.first + own.row0 + r) * D;
    const int frame = (own.first + own.row0 + r) / c.joints;
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const int channel = rows.channel(q, own.lane);
      if (a.position != nullptr) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(a.position + frame * D + channel);
      }
      write_quad(to + channel, rows.quad[r][q]);
    }
  }
  rows.normalize(v.next_norm[0], v.next_norm[1], a.next.epsilon, own.lane);
  if (a.next.xz == nullptr) {
    write_poses(a.next, own, rows);
    return;
  }
  write_core_rows<D, Rows>(shared.narrow, own, rows);
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
