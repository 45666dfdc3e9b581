// Tiles of 128 positions: what both persistent tails count and begin with.
#pragma once

#include <cstdint>

#include "cuda/block/tail_persistent/positions.cuh"
#include "cuda/block/tail_persistent/weight_stage.cuh"

namespace posemamba::cuda {

constexpr int kTileRows = 16 * kMatrixWarps;  // positions of a tile

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline Positions positions_of(const pm_block_tail_params& params, const CrossArgs& scan) {
  return Positions(static_cast<int>(params.scan.batch) * scan.steps, scan.steps, scan.joints);
}

// The calling thread's warp, from one lane: the compiler sees that a warp does not part where roles
// do.
__device__ __forceinline__ int warp_of_thread() {
  return __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 32, 0);
}

}  // namespace posemamba::cuda
