// What a warp does to its rows: gate them, add what products leave, hand them to the other blocks.
#pragma once

#include "cuda/block/tail_cluster/shared.cuh"

namespace posemamba::cuda {

// A warp's rows of its block, and those of the batch item that are its cluster's.
struct ClusterPlace : Place {
  int rank;     // of the block
  int own_row;  // first row of the warp in its block
};

template <int D, int Cluster, int Rows>
__device__ __forceinline__ ClusterPlace cluster_place(int steps) {
  using Shared = TailClusterShared<D, Cluster, Rows>;
  const int thread = static_cast<int>(threadIdx.x);
  const int rank = cluster_rank();
  const int warp = __shfl_sync(~0u, thread / 32, 0);
  const int own_row = warp * Shared::kCount;
  const int first = static_cast<int>(blockIdx.x) / Cluster * Rows;
  const int64_t item = int64_t{blockIdx.y} * steps;
  return {{item, first, steps, rank * Shared::kOwn + own_row, warp, thread % 32}, rank, own_row};
}

// Rows of the residual stream: a lane holds eight neighbouring channels.
template <int D, int Count>
using StreamRows = RowGroup<D, Count, true>;

// Starts the reads of a warp's rows that the scan does not write.
template <int D, int Cluster, int Rows>
__device__ __forceinline__ void gate_begins(
    const TailClusterShared<D, Cluster, Rows>& shared, const ClusterPlace& place,
    GateRows<D, 1> (&rows)[TailClusterShared<D, Cluster, Rows>::kCount]) {
#pragma unroll
  for (int r = 0; r < shared.kCount; ++r) {
    const auto& from = shared.from[place.warp][r];
    rows[r].own[0].load(from[4], place.lane, BeforeWait{});
    rows[r].other[0].load(from[5], place.lane, BeforeWait{});
    rows[r].gate[0].load(from[6], place.lane, BeforeWait{});
  }
}

// Gated rows to the blocks that multiply their channels. The directions of a row are read while the
// one before is gated: registers have no room for more.
template <int D, int Cluster, int Rows>
__device__ __forceinline__ void gate_cluster_rows(
    TailClusterShared<D, Cluster, Rows>& shared, const pm_block_tail_params& a,
    const ClusterPlace& place,
    GateRows<D, 1> (&rows)[TailClusterShared<D, Cluster, Rows>::kCount]) {
  using Shared = TailClusterShared<D, Cluster, Rows>;
  const TailVectors<D, true>& v = shared.vectors;
  const auto load = [&](int r) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const __half* row = shared.from[place.warp][r][k];
      __builtin_assume(__isGlobal(row));
      rows[r].part[0][k].load(row, place.lane);
    }
  };
  load(0);
  barrier_wait(&shared.vectors_there, 0);
#pragma unroll
  for (int r = 0; r < Shared::kCount; ++r) {
    RowGroup<2 * D, 1> y;
    rows[r].skip(v, place.lane, y);
    rows[r].add_directions(4, y);
    if (r + 1 < Shared::kCount) {
      asm volatile("" ::: "memory");  // they start here
      load(r + 1);
      asm volatile("" ::: "memory");
    }
    y.normalize(a.out_epsilon, place.lane,
                [&](int q, int which) { return v.gate_quad(v.out_norm[which], q, place.lane); });
    each_gated(
        y, [&](int, int q) { return rows[r].gate[0].quad[q]; }, place.lane,
        [&](int, int channel, const uint4& bits) {
          shared.put(kGatedRows, place.rank, channel / Shared::kWide,
                     shared.wide + Shared::Line::at(place.row0 + r, channel % Shared::kWide), bits);
        });
  }
}

// Normalised rows to all blocks.
template <int D, int Cluster, int Rows, int Count>
__device__ __forceinline__ void share_rows(TailClusterShared<D, Cluster, Rows>& shared,
                                           Exchange exchange, const ClusterPlace& place,
                                           const StreamRows<D, Count>& rows) {
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const uint4 bits = rows.eight_halves(r, 0, place.lane);
    __half* at = shared.narrow + LineRows<Rows>::at(place.row0 + r, place.lane * 8);
#pragma unroll
    for (int block = 0; block < Cluster; ++block) {
      shared.put(exchange, place.rank, block, at, bits);
    }
  }
}

// A warp's 16 outputs of all rows, summed over this block's inputs, to the blocks whose rows they
// are.
template <int D, int Cluster, int Rows>
__device__ __forceinline__ void leave_parts(TailClusterShared<D, Cluster, Rows>& shared,
                                            Exchange exchange, const ClusterPlace& place,
                                            int output, const OutputSums<Rows>& sums) {
  using Shared = TailClusterShared<D, Cluster, Rows>;
  const int row = place.lane % 4 * 2;  // of eight, and the next
  float* first[2];                     // of the first and second eight outputs
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    first[i] = shared.sum[place.rank] +
               Shared::Parts::at(row % Shared::kOwn, output + i * 8 + place.lane / 4);
  }
#pragma unroll
  for (int j = 0; j < Rows / 8; ++j) {
    const int block = Shared::kOwn % 8 == 0 ? j * 8 / Shared::kOwn : (j * 8 + row) / Shared::kOwn;
    const int eights = j * 8 % Shared::kOwn / 8;
    const auto put_all = [&](auto&& put) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        put(first[i / 2], Shared::Parts::further(eights, i % 2), sums[j][i]);
      }
    };
    if (block == place.rank) {
      put_all([](float* from, int further, float v) { from[further] = v; });
    } else {
      const uint32_t barrier = address_in(block, shared.there + exchange);
      put_all([&](float* from, int further, float v) {
        store_async(address_in(block, from) + further * sizeof(float), v, barrier);
      });
    }
  }
}

// rows += what the blocks left for them.
template <int D, int Cluster, int Rows, int Count>
__device__ __forceinline__ void add_parts(const TailClusterShared<D, Cluster, Rows>& shared,
                                          const ClusterPlace& place, StreamRows<D, Count>& rows) {
  using Shared = TailClusterShared<D, Cluster, Rows>;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      const int at = Shared::Parts::at(place.own_row + r, rows.channel(q, place.lane));
#pragma unroll
      for (int block = 0; block < Cluster; ++block) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(shared.sum[block] + at);
      }
    }
  }
}

// rows += the position of their frame.
template <int D, int Count>
__device__ __forceinline__ void add_position(const CrossArgs& c, const pm_block_tail_params& a,
                                             const ClusterPlace& place,
                                             StreamRows<D, Count>& rows) {
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const float* at = a.position + place.position(place.row0 + r) / c.joints * D;
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      rows.quad[r][q] = rows.quad[r][q] + read_quad(at + rows.channel(q, place.lane));
    }
  }
}

template <int D, int Count>
__device__ __forceinline__ void write_stream(const pm_block_tail_params& a,
                                             const ClusterPlace& place,
                                             const StreamRows<D, Count>& rows) {
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    if (!place.inside(place.row0 + r)) continue;
    float* to = a.stream + (place.item + place.first + place.row0 + r) * D;
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      write_quad(to + rows.channel(q, place.lane), rows.quad[r][q]);
    }
  }
}

}  // namespace posemamba::cuda
