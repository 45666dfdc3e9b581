// Weights for warpgroup products: stages that lie ready in global memory (core_stages.cuh) come in
// by bulk copies, which one matrix thread starts whenever it asks for a stage and others are free.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/device/copy_async.cuh"

namespace posemamba::cuda {

template <int D, int Ring, int Arrivals = kMatrixWarps * kWarpArrivals>
struct CoreRing {
  alignas(128) unsigned char stage[Ring][WeightStage<D>::kBytes];
  uint64_t full[Ring];   // the copy is complete
  uint64_t empty[Ring];  // every matrix warp has read the stage

  __device__ __forceinline__ void init() {
    for (int i = 0; i < Ring; ++i) {
      barrier_init(full + i, 1);
      barrier_init(empty + i, Arrivals);
    }
    bulk_barriers_ready();
  }
};

// A matrix warp's place in the ring; the first warp's first lane also fills it.
template <int D, int Ring>
class CoreReader {
  static constexpr int kBytes = WeightStage<D>::kBytes;

 public:
  // `stages`: of a tile, which are read `tiles` times. Starts the first copies.
  __device__ __forceinline__ CoreReader(CoreRing<D, Ring>& ring, const unsigned char* stages,
                                        int count, int tiles, int warp, int lane)
      : ring_(ring), stages_(stages), count_(count), fills_(warp == 0 && lane == 0) {
    left_ = count * tiles;
    if (fills_) fill();
  }

  // The next stage; several may be held at once.
  __device__ __forceinline__ const unsigned char* acquire() {
    if (fills_) fill();
    __syncwarp();
    barrier_wait(ring_.full + slot_, phase_);
    const unsigned char* stage = ring_.stage[slot_];
    --ready_;
    if (++slot_ == Ring) slot_ = 0, phase_ ^= 1;
    return stage;
  }
  // Gives the oldest one back.
  __device__ __forceinline__ void release() {
    barrier_arrive(ring_.empty + oldest_);
    if (++oldest_ == Ring) oldest_ = 0;
  }

 private:
  // Copies into every slot that is free. It waits for one only where the stage about to be read, or
  // the one after it, is not on its way.
  __device__ __forceinline__ void fill() {
    while (left_ > 0 && ready_ < Ring) {
      // A slot's first wait is for the phase before the barrier's first: complete already.
      uint64_t* empty = ring_.empty + fill_slot_;
      if (!barrier_test(empty, fill_phase_ ^ 1)) {
        if (ready_ > 1) return;
        barrier_wait(empty, fill_phase_ ^ 1);
      }
      bulk_copy(ring_.stage[fill_slot_], stages_ + number_ * kBytes, kBytes,
                ring_.full + fill_slot_);
      --left_, ++ready_;
      if (++number_ == count_) number_ = 0;
      if (++fill_slot_ == Ring) fill_slot_ = 0, fill_phase_ ^= 1;
    }
  }

  CoreRing<D, Ring>& ring_;
  const unsigned char* stages_;
  int count_;
  bool fills_;
  int slot_ = 0;
  uint32_t phase_ = 0;
  int oldest_ = 0;
  int ready_ = 0;   // stages filled, less those acquired
  int left_;        // to fill
  int number_ = 0;  // of the next one, in its tile
  int fill_slot_ = 0;
  uint32_t fill_phase_ = 0;
};

}  // namespace posemamba::cuda
