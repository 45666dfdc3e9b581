// Weights for mma.sync, as they are packed: a warp that does nothing else copies stage after stage
// into a ring in shared memory, and eight matrix warps read it. Were a matrix warp to copy, it
// would hold up the seven others.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/device/copy_async.cuh"

namespace posemamba::cuda {

template <int D, int Ring>
struct TileRing {
  using Stage = WeightStage<D>;

  alignas(128) unsigned char stage[Ring][Stage::kBytes];
  uint64_t full[Ring];   // the copies are complete
  uint64_t empty[Ring];  // the matrix warps have read the stage

  __device__ __forceinline__ void init() {
    for (int i = 0; i < Ring; ++i) {
      barrier_init(full + i, kWarpArrivals);
      barrier_init(empty + i, kMatrixWarps * kWarpArrivals);
    }
  }

  // The copying warp's part: all stages, `tiles` times.
  __device__ __forceinline__ void run_copies(const pm_block_tail_params& params, int tiles,
                                             int lane) {
    int slot = 0;
    uint32_t phase = 0;
#pragma unroll 1
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll 1
      for (int number = 0; number < Stage::count(params); ++number) {
        // A slot's first wait is for the phase before the barrier's first: complete already.
        barrier_wait(empty + slot, phase ^ 1);
        copy(Stage(params, number), slot, lane);
        if (++slot == Ring) slot = 0, phase ^= 1;
      }
    }
  }

 private:
  __device__ __forceinline__ void copy(const Stage& now, int slot, int lane) {
#pragma unroll 1
    for (int piece = 0; piece < Stage::kPieces; ++piece) {
#pragma unroll
      for (int i = lane * 16; i < Stage::kPieceBytes; i += 32 * 16) {
        copy_async(stage[slot] + piece * Stage::kPieceBytes + i, now.from + piece * now.stride + i);
      }
    }
    copies_arrive(full + slot);
  }
};

// A matrix warp's place in the ring; made as a CoreReader is.
template <int D, int Ring>
class TileReader {
 public:
  __device__ __forceinline__ TileReader(TileRing<D, Ring>& ring, const unsigned char*, int, int,
                                        int, int)
      : ring_(ring) {}

  // The next stage.
  __device__ __forceinline__ const unsigned char* acquire() {
    barrier_wait(ring_.full + slot_, phase_);
    return ring_.stage[slot_];
  }
  __device__ __forceinline__ void release() {
    barrier_arrive(ring_.empty + slot_);
    if (++slot_ == Ring) slot_ = 0, phase_ ^= 1;
  }

 private:
  TileRing<D, Ring>& ring_;
  int slot_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace posemamba::cuda
