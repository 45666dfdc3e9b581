// What follows the residual stream: the next norm, then the next block's in_proj or the head.
#pragma once

#include "cuda/block/poses.cuh"
#include "cuda/block/tail_single/product.cuh"
#include "cuda/block/tail_single/rows.cuh"

namespace posemamba::cuda {

// Stores the stream, normalises it for what follows, and runs that: in_proj or the head.
template <int Warps, int D, int Rows>
__device__ __forceinline__ void run_next(TailShared<D, Rows>& shared, const pm_next_params& next,
                                         float* stream, const Place& place,
                                         RowGroup<D, Rows / Warps>& rows) {
  using Shared = TailShared<D, Rows>;
  constexpr int kCount = Rows / Warps;
  BlockProduct<D, 4 * D, Warps, Rows> in_proj;
  if (next.xz != nullptr) in_proj.prime(next.in_proj, place.warp, place.lane);
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    if (!rows.used(place.lane) || !place.inside(place.row0 + r)) continue;
    float* to = stream + (place.item + place.first + place.row0 + r) * D;
#pragma unroll
    for (int q = 0; q < RowGroup<D, kCount>::kQuads; ++q) {
      write_quad(to + rows.channel(q, place.lane), rows.quad[r][q]);
    }
  }
  const TailVectors<D, false>& v = shared.vectors;
  rows.normalize(v.next_norm[0], v.next_norm[1], next.epsilon, place.lane);
  if (next.xz == nullptr) {
    write_poses<D, kCount>(next, place, rows);
    return;
  }
  write_narrow(shared, place, rows);
  __syncthreads();  // the rows are complete, and nobody reads `work` any more
  in_proj.run(shared.narrow, Shared::kNarrow, [&](int row, int column, float2 v) {
    put_half2(shared.out + row * Shared::kOut + column, v);
  });
  __syncthreads();                    // the outputs are complete
  constexpr int kPieces = 4 * D / 8;  // 16 bytes each
  auto* xz = static_cast<__half*>(next.xz) + (place.item + place.first) * 4 * D;
  const int left = place.steps - place.first;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < Rows * kPieces; i += 32 * Warps) {
    const int row = i / kPieces;
    const int column = i % kPieces * 8;
    if (row >= left) break;
    *reinterpret_cast<uint4*>(xz + row * 4 * D + column) =
        *reinterpret_cast<const uint4*>(shared.out + row * Shared::kOut + column);
  }
}

}  // namespace posemamba::cuda
