// The network's head on rows in a warp's registers.
#pragma once

#include "cuda/block/place.cuh"
#include "cuda/device/rows.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

// poses_3d = rows * head_weight^T + head_bias
template <int D, int Count, bool Turned, int Lanes>
__device__ __forceinline__ void write_poses(const pm_next_params& next, const Place& place,
                                            const RowGroup<D, Count, Turned, Lanes>& rows) {
  float sums[Count * 3];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
#pragma unroll
    for (int r = 0; r < Count; ++r) sums[r * 3 + axis] = 0.0f;
    if (!rows.used(place.lane)) continue;
#pragma unroll
    for (int q = 0; q < rows.kQuads; ++q) {
      const float4 w = read_quad(next.head_weight + axis * D + rows.channel(q, place.lane));
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        sums[r * 3 + axis] += sum4(fma4(rows.quad[r][q], w, make_float4(0, 0, 0, 0)));
      }
    }
  }
  warp_sums<Lanes>(sums);
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    if (place.lane != 0 || !place.inside(place.row0 + r)) continue;
    float* to = next.poses_3d + (place.item + place.first + place.row0 + r) * 3;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) to[axis] = sums[r * 3 + axis] + next.head_bias[axis];
  }
}

}  // namespace posemamba::cuda
