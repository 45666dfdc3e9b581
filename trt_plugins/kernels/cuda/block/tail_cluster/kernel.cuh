// Clusters of thread blocks that part the weights of every product, on sm_90a: out_norm to the next
// in_proj in one launch, as tail_warpgroup. A cluster has Rows positions of a batch item. Each of
// its blocks reads its own part of the weights, once for all of them, and gates and normalises its
// own part of the rows, which the blocks hand each other through shared memory.
#pragma once

#include "cuda/block/poses.cuh"
#include "cuda/block/tail_cluster/rows.cuh"
#include "cuda/block/tail_cluster/weights.cuh"

namespace posemamba::cuda {

template <int D, int Cluster, int Rows>
__device__ __forceinline__ void run_tail_cluster(const CrossArgs& c,
                                                 const pm_block_tail_params& a) {
  using Shared = TailClusterShared<D, Cluster, Rows>;
  constexpr int kCount = Shared::kCount;
  using Group = StreamRows<D, kCount>;
  using Weights = ClusterWeights<D, Cluster, Rows>;
  using Sums = OutputSums<Rows>;
  static_assert(D >= 256, "a lane holds eight neighbouring channels");
  extern __shared__ __align__(1024) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const ClusterPlace place = cluster_place<D, Cluster, Rows>(c.steps);
  const bool has_rows = place.own_row < Shared::kOwn;
  const TailVectors<D, true>& v = shared.vectors;

  if (threadIdx.x == 0) shared.init_barriers();
  shared.vectors.copy_from(a.vectors, static_cast<int>(threadIdx.x), Shared::kThreads);
  Weights weights(a, place.rank, place.warp, place.lane);
  weights.template load<0, Weights::kBeforeGate>();
  if (has_rows) find_rows<D>(shared.from[place.warp], c, a, place);
  __syncwarp();
  cluster_begins();
  copies_arrive(&shared.vectors_there);
  GateRows<D, 1> gate[kCount];
  if (has_rows) gate_begins(shared, place, gate);
  dependency_wait();  // the directions come from the launch before
  dependency_release();

  if (has_rows) gate_cluster_rows(shared, a, place, gate);
  weights.template load<Weights::kBeforeGate, Weights::kRing>();
  Group rows;  // the residual stream
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!has_rows) continue;
      const float* residual = a.residual + (place.item + place.position(place.row0 + r)) * D;
      rows.quad[r][q] = read_quad(residual + rows.channel(q, place.lane));
    }
  }
  shared.meet(kGatedRows);
  writes_before_products();
  weights.template run<kOutProj>(shared.wide, [&](int output, const Sums& sums) {
    leave_parts(shared, kFirstSums, place, output, sums);
  });
  shared.meet(kFirstSums);  // nobody of this block reads the gated rows any more
  if (has_rows) {
    add_parts(shared, place, rows);
    Group normal = rows;
    normal.normalize(v.norm2[0], v.norm2[1], a.norm2_epsilon, place.lane);
    share_rows(shared, kFirstRows, place, normal);
  }
  shared.meet(kFirstRows);
  writes_before_products();
  weights.template run<kFc1>(shared.narrow, [&](int output, const Sums& sums) {
    const float* bias = v.fc1_bias + place.rank * Shared::kWide + output + place.lane / 4;
    Sums active;
#pragma unroll
    for (int i = 0; i < Rows / 2; ++i) {
      active[i / 4][i % 4] = gelu(sums[i / 4][i % 4] + bias[i / 2 % 2 * 8]);
    }
    store_outputs(active, place.lane, [&](int row, int channel) {
      return shared.wide + Shared::Line::at(row, output + channel);
    });
  });
  writes_before_products();
  __syncthreads();  // this block's hidden channels are complete
  weights.template run<kFc2>(shared.wide, [&](int output, const Sums& sums) {
    leave_parts(shared, kSecondSums, place, output, sums);
  });
  shared.meet(kSecondSums);  // all blocks have read the normalised rows
  if (has_rows) {
    add_parts(shared, place, rows);
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
#pragma unroll
      for (int q = 0; q < Group::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(v.fc2_bias + rows.channel(q, place.lane));
      }
    }
    rows.normalize(v.shared_norm[0], v.shared_norm[1], a.shared_epsilon, place.lane);
    if (a.position != nullptr) add_position(c, a, place, rows);
    Group normal = rows;
    normal.normalize(v.next_norm[0], v.next_norm[1], a.next.epsilon, place.lane);
    if (a.next.xz == nullptr) {
      write_poses<D, kCount>(a.next, place, normal);
    } else {
      share_rows(shared, kSecondRows, place, normal);
    }
    write_stream(a, place, rows);  // nobody waits for it
  }
  if (a.next.xz == nullptr) return;  // nothing is on its way to this block any more
  shared.meet(kSecondRows);          // nobody of this block reads sums any more
  writes_before_products();
  auto* xz = static_cast<__half*>(a.next.xz) + (place.item + place.first) * 4 * D +
             place.rank * Shared::kOutputs;
  weights.template run<kInProj>(shared.narrow, [&](int output, const Sums& sums) {
    store_outputs(sums, place.lane, [&](int row, int channel) {
      return shared.out + row * Shared::kOut + output + channel;
    });
    const int group = place.warp / 4;
    warpgroup_meets(group);          // its 64 outputs of a turn are complete
    constexpr int kPieces = 64 / 8;  // of a row, 16 bytes each
    const int first = output / 64 * 64;
#pragma unroll
    for (int i = static_cast<int>(threadIdx.x) % 128; i < Rows * kPieces; i += 128) {
      const int row = i / kPieces;
      const int column = first + i % kPieces * 8;
      if (place.inside(row)) {
        *reinterpret_cast<uint4*>(xz + row * 4 * D + column) =
            *reinterpret_cast<const uint4*>(shared.out + row * Shared::kOut + column);
      }
    }
  });
}

template <int D, int Cluster, int Rows>
__global__ void __launch_bounds__(32 * kTailWarps, 1)
    block_tail_cluster_kernel(const __grid_constant__ CrossArgs c,
                              const __grid_constant__ pm_block_tail_params a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  run_tail_cluster<D, Cluster, Rows>(c, a);
#endif
}

}  // namespace posemamba::cuda
