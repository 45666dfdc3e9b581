// What the persistent tail is made of for a width, and its shared memory.
#pragma once

#include <type_traits>

#include "cuda/block/tail_persistent/core_ring.cuh"
#include "cuda/block/tail_persistent/tile_ring.cuh"
#include "cuda/block/tail_persistent/tiles.cuh"
#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// Warpgroups: products of sm_90a; elsewhere such a kernel has no code. Without them a gate warp
// less makes room for one that copies.
template <int D, bool Warpgroups, int Ring>
struct TailPersistentConfig {
  static constexpr int kWidth = D;
  static constexpr int kQuarters = WeightStage<D>::kQuarters;
  static constexpr bool kWarpgroups = Warpgroups;
  static constexpr int kGateWarps = Warpgroups ? 8 : 7;
  static constexpr int kThreads = 32 * 16;
  static constexpr int kStride = 2 * D + kRowPad;  // halves of a gated row
  static constexpr int kBuffers = 2;
  // The launch gives every thread 128 registers; warpgroups may hand them on. As many warps take as
  // leave: a larger sum would wait for ever.
  static constexpr bool kHands = Warpgroups && D >= 128;
  static constexpr int kMatrixRegisters = 176;
  static constexpr int kGateRegisters = 2 * 128 - kMatrixRegisters;
  using WeightsRing = std::conditional_t<Warpgroups, CoreRing<D, Ring>, TileRing<D, Ring>>;
  using Weights = std::conditional_t<Warpgroups, CoreReader<D, Ring>, TileReader<D, Ring>>;

  // Tiles alternate between two buffers: gate warps fill one, matrix warps read the other.
  struct Shared {
    WeightsRing weights;
    alignas(16) __half gated[kBuffers][kTileRows * kStride];
    alignas(16) TailVectors<D, true> vectors;
    uint64_t gated_full[kBuffers];   // every gate warp has written its rows
    uint64_t gated_empty[kBuffers];  // every matrix warp has read its rows
    unsigned char limb[PM_MAX_JOINTS];
  };
};

}  // namespace posemamba::cuda
