// The positions of a thread block that owns a few of one batch item, and its warps' shares.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace posemamba::cuda {

// Where a warp's rows lie. Rows past the end of an item repeat its last position and store nothing.
struct Place {
  int64_t item;  // first position of the batch item
  int first;     // position of the block's row 0
  int steps;
  int row0;  // first row of this warp
  int warp;
  int lane;

  __device__ __forceinline__ int position(int row) const { return min(first + row, steps - 1); }
  __device__ __forceinline__ bool inside(int row) const { return first + row < steps; }
};

template <int Warps, int Rows>
__device__ __forceinline__ Place place_of(int steps) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  return {int64_t{blockIdx.y} * steps,
          static_cast<int>(blockIdx.x) * Rows,
          steps,
          warp * (Rows / Warps),
          warp,
          static_cast<int>(threadIdx.x) % 32};
}

}  // namespace posemamba::cuda
