// Shared memory of the persistent tail, and how its warps hand rows to each other.
#pragma once

#include "cuda/block/tail_persistent/weight_ring.cuh"
#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

constexpr int kTileRows = 16 * kMatrixWarps;  // positions of a tile

template <int D, int GateWarps, int Ring, bool Registers>
struct TailPersistentConfig {
  static constexpr int kWidth = D;
  static constexpr int kInner = 2 * D;
  static constexpr int kQuarters = kInner / 64;
  static constexpr int kGateWarps = GateWarps;
  static constexpr int kThreads = 32 * (kMatrixWarps + GateWarps + 1);  // and one that copies
  static constexpr int kStride = kInner + kRowPad;  // halves of a gated row
  static constexpr int kBuffers = 2;
  static constexpr bool kRegisters = Registers;  // normalised rows stay in registers
  using Weights = WeightReader<D, Ring>;

  // Tiles alternate between two buffers: gate warps fill one, matrix warps read the other.
  struct Shared {
    WeightRing<D, Ring> weights;
    alignas(16) __half gated[kBuffers][kTileRows * kStride];
    alignas(16) TailVectors<D> vectors;
    uint64_t gated_full[kBuffers];   // every gate warp has written its rows
    uint64_t gated_empty[kBuffers];  // every matrix warp is done with its rows
    unsigned char limb[PM_MAX_JOINTS];
  };
};

}  // namespace posemamba::cuda
