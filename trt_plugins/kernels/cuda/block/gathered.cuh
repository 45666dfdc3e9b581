// The left operand of warpgroup products straight from rows in global memory, 16 bytes at a time.
//
// The sum over inputs may be taken in any order. Of every 32 channels lane (g, p) = (lane / 4,
// lane % 4) reads the eight neighbours from 8 p on: pair j of them stands for the inputs 8 j + 2 p
// and the next of two steps. So core row j (0 to 3) of the weights holds the pairs of the channels
// 8 q + 2 j for q from 0 to 3.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace posemamba::cuda {

// 64 channels of a warp's rows g and g + 8; `row`: where this lane's first eight lie.
__device__ __forceinline__ void load_gathered(uint32_t (&a)[4][4], const __half* const (&row)[2]) {
#pragma unroll
  for (int c = 0; c < 2; ++c) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const uint4 v = *reinterpret_cast<const uint4*>(row[r] + c * 32);
      a[2 * c][r] = v.x, a[2 * c][2 + r] = v.y;
      a[2 * c + 1][r] = v.z, a[2 * c + 1][2 + r] = v.w;
    }
  }
}

}  // namespace posemamba::cuda
