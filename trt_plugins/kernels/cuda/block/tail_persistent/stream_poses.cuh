// The head, of a stream that has been stored.
#pragma once

#include <cstddef>

#include "cuda/block/poses.cuh"
#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/device.cuh"

namespace posemamba::cuda {

constexpr int kPoseWarps = 8;

// A warp a row.
template <int D>
__global__ void __launch_bounds__(32 * kPoseWarps)
    stream_poses_kernel(const __grid_constant__ pm_block_tail_params a, int rows) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(blockIdx.x) * kPoseWarps + warp;
  dependency_wait();  // the stream comes from the launch before
  dependency_release();
  if (row >= rows) return;
  using Group = RowGroup<D, 1>;
  Group group;
#pragma unroll
  for (int q = 0; q < Group::kQuads; ++q) {
    group.quad[0][q] = read_quad(a.stream + int64_t{row} * D + Group::channel(q, lane));
  }
  using Vectors = TailVectors<D, false>;
  const float* norm = a.vectors + offsetof(Vectors, next_norm) / sizeof(float);
  group.normalize(norm, norm + D, a.next.epsilon, lane);
  write_poses(a.next, Place{0, 0, rows, row, warp, lane}, group);
}

}  // namespace posemamba::cuda
