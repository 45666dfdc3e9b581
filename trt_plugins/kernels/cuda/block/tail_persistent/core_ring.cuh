// Weights for warpgroup products: stages that lie ready in global memory (core_stages.cuh) come in
// by bulk copies. One matrix thread starts them whenever it asks for a stage and others are free;
// or a warp that does nothing else does.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/device/copy_async.cuh"

namespace posemamba::cuda {

template <int D, int Ring>
struct CoreRing {
  alignas(128) unsigned char stage[Ring][WeightStage<D>::kBytes];
  uint64_t full[Ring];   // the copy is complete
  uint64_t empty[Ring];  // every matrix warp has read the stage

  __device__ __forceinline__ void init() {
    for (int i = 0; i < Ring; ++i) {
      barrier_init(full + i, 1);
      barrier_init(empty + i, kMatrixWarps * kWarpArrivals);
    }
    bulk_barriers_ready();
  }

  // One thread's part where it does nothing else: all `count` stages of a tile, `tiles` times.
  __device__ __forceinline__ void run_copies(const unsigned char* stages, int count, int tiles) {
    constexpr int kBytes = WeightStage<D>::kBytes;
    int slot = 0;
    uint32_t phase = 0;
#pragma unroll 1
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll 1
      for (int number = 0; number < count; ++number) {
        // A slot's first wait is for the phase before the barrier's first: complete already.
        barrier_wait(empty + slot, phase ^ 1);
        bulk_copy(stage[slot], stages + number * kBytes, kBytes, full + slot);
        if (++slot == Ring) slot = 0, phase ^= 1;
      }
    }
  }
};

// A matrix warp's place in a ring that somebody else fills.
template <int D, int Ring>
class StageReader {
 public:
  __device__ __forceinline__ explicit StageReader(CoreRing<D, Ring>& ring) : ring_(ring) {}

  // The next stage; several may be held at once.
  __device__ __forceinline__ const unsigned char* acquire() {
    barrier_wait(ring_.full + slot_, phase_);
    const unsigned char* stage = ring_.stage[slot_];
    if (++slot_ == Ring) slot_ = 0, phase_ ^= 1;
    return stage;
  }
  // Gives the oldest one back.
  __device__ __forceinline__ void release() {
    barrier_arrive(ring_.empty + oldest_);
    if (++oldest_ == Ring) oldest_ = 0;
  }

 protected:
  CoreRing<D, Ring>& ring_;

 private:
  int slot_ = 0;
  uint32_t phase_ = 0;
  int oldest_ = 0;
};

// A matrix warp's place in the ring; the first warp's first lane also fills it.
template <int D, int Ring>
class CoreReader : public StageReader<D, Ring> {
  static constexpr int kBytes = WeightStage<D>::kBytes;
  using Reader = StageReader<D, Ring>;
  using Reader::ring_;

 public:
  // `stages`: of a tile, which are read `tiles` times. Starts the first copies.
  __device__ __forceinline__ CoreReader(CoreRing<D, Ring>& ring, const unsigned char* stages,
                                        int count, int tiles, int warp, int lane)
      : Reader(ring), stages_(stages), count_(count), fills_(warp == 0 && lane == 0) {
    left_ = count * tiles;
    if (fills_) fill();
  }

  __device__ __forceinline__ const unsigned char* acquire() {
    if (fills_) fill();
    __syncwarp();
    --ready_;
    return Reader::acquire();
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

  const unsigned char* stages_;
  int count_;
  bool fills_;
  int ready_ = 0;   // stages filled, less those acquired
  int left_;        // to fill
  int number_ = 0;  // of the next one, in its tile
  int fill_slot_ = 0;
  uint32_t fill_phase_ = 0;
};

}  // namespace posemamba::cuda
