// The order in which a tile uses its weights. A stage is 64 inputs of every output (out_proj, fc2:
// their sums stay in registers) or every input of 64 outputs (fc1, in_proj): D / 16 pieces of 2 KiB
// of packed 16x16 tiles either way. fc1 and fc2 take turns, 64 hidden channels at a time.
#pragma once

#include "cuda/device/device.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kMatrixWarps = 8;
// Of a warp at a barrier: every lane arrives for itself. One lane for all behind a __syncwarp is no
// faster, and racecheck does not follow it.
constexpr int kWarpArrivals = 32;

constexpr int kTileBytes = 512;  // of a packed 16x16 tile

template <int D>
struct WeightStage {
  static constexpr int kQuarters = 2 * D / 64;  // of 64 inner or hidden channels
  static constexpr int kPieces = D / 16;
  static constexpr int kPieceBytes = 4 * kTileBytes;
  static constexpr int kBytes = kPieces * kPieceBytes;
  static constexpr int kMost = 5 * kQuarters;  // of a tile

  const unsigned char* from;
  int stride;   // bytes from piece to piece
  bool inputs;  // 64 inputs of every output
  bool in_proj;

  // How many a tile uses.
  static __host__ __device__ __forceinline__ int count(const pm_block_tail_params& params) {
    return params.next.xz != nullptr ? kMost : 3 * kQuarters;
  }

  __device__ __forceinline__ WeightStage(const pm_block_tail_params& params, int number) {
    constexpr int kTileRow = 2 * D / 16 * kTileBytes;  // 16 outputs of out_proj or fc2
    const int after = number - kQuarters;
    const bool mlp = after >= 0 && after < 2 * kQuarters;
    inputs = after < 0 || (mlp && after % 2 == 1);
    in_proj = after >= 2 * kQuarters;
    const void* matrix = params.out_proj;
    int index = number;
    if (mlp) matrix = inputs ? params.fc2 : params.fc1, index = after / 2;
    if (in_proj) matrix = params.next.in_proj, index = after - 2 * kQuarters;
    from = static_cast<const unsigned char*>(matrix) + index * (inputs ? kPieceBytes : kBytes);
    stride = inputs ? kTileRow : kPieceBytes;
  }
};

}  // namespace posemamba::cuda
