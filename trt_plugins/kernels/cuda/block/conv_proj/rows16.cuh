// The rows a warp of the persistent convolution makes and multiplies.
#pragma once

#include "cuda/device/mma.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

template <int Channels>
struct Rows16 {
  static constexpr int kRows = 16;
  static constexpr int kStride = Channels + kRowPad;  // halves of a row
  static constexpr int kTile = kRows * Channels * 2;  // bytes of 16 columns of the projection
};

}  // namespace posemamba::cuda
