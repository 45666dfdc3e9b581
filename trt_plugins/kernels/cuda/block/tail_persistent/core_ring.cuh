// Weights for warpgroup products: core matrices, which packed tiles become on their way through
// registers. Every matrix warp brings one piece of each stage while its products run, two stages
// less than the ring holds ahead of its use: a warp may run two stages ahead of the slowest before
// it has to wait.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/block/tail_persistent/wgmma.cuh"

namespace posemamba::cuda {

template <int D, int Ring>
struct CoreRing {
  alignas(128) unsigned char stage[Ring][WeightStage<D>::kBytes];
  uint64_t full[Ring];   // every matrix warp has written its piece
  uint64_t empty[Ring];  // every matrix warp has read the stage

  __device__ __forceinline__ void init() {
    for (int i = 0; i < Ring; ++i) {
      barrier_init(full + i, kMatrixWarps * kWarpArrivals);
      barrier_init(empty + i, kMatrixWarps * kWarpArrivals);
    }
  }
};

// A matrix warp's place in the ring, and its part of filling it.
template <int D, int Ring>
class CoreReader {
  using Stage = WeightStage<D>;
  static_assert(Stage::kPieces == kMatrixWarps, "a piece a warp");
  static constexpr int kAhead = Ring - 2;

 public:
  // Starts the first stages; needs the barriers and nothing of earlier launches.
  __device__ __forceinline__ CoreReader(CoreRing<D, Ring>& ring, const pm_block_tail_params& params,
                                        int tiles, int warp, int lane)
      : ring_(ring), params_(params), warp_(warp), lane_(lane) {
    left_ = tiles * Stage::count(params);
    load();
    for (int i = 0; i < kAhead; ++i) fill();
  }

  // The next stage.
  __device__ __forceinline__ const unsigned char* acquire() {
    barrier_wait(ring_.full + slot_, phase_);
    return ring_.stage[slot_];
  }
  __device__ __forceinline__ void release() {
    barrier_arrive(ring_.empty + slot_);
    if (++slot_ == Ring) slot_ = 0, phase_ ^= 1;
  }

  // Once a stage: writes the piece loaded last, and loads the next. Of in_proj every 32 columns are
  // reordered, so that the accumulators of a lane are eight neighbours: column 8 p + 2 t + j
  // becomes 8 t + 2 p + j.
  __device__ __forceinline__ void fill() {
    if (left_ == 0) return;
    --left_;
    constexpr int kAcross = D / 64;  // pieces that 16 outputs take where a stage has every input
    const Stage now(params_, number_);
    const int outputs = now.inputs ? D : 64;
    int n = lane_ / 16 * 8 + lane_ % 8;  // what this lane addresses of the first tile
    int k8 = lane_ / 8 % 2;
    n += now.inputs ? warp_ * 16 : warp_ / kAcross * 16;
    k8 += now.inputs ? 0 : warp_ % kAcross * 8;
    if (now.in_proj) n = n / 32 * 32 + n / 2 % 4 * 8 + n / 8 % 4 * 2 + n % 2;
    unsigned char* to = ring_.stage[fill_slot_] + core_row(outputs, k8, n);
    // A slot's first wait is for the phase before the barrier's first: complete already.
    barrier_wait(ring_.empty + fill_slot_, fill_phase_ ^ 1);
#pragma unroll
    for (int i = 0; i < 4; ++i) store_matrices(to + i * outputs * 32, words_[i]);
    writes_before_products();  // other warps' too, once they have seen this arrival
    barrier_arrive(ring_.full + fill_slot_);
    if (++fill_slot_ == Ring) fill_slot_ = 0, fill_phase_ ^= 1;
    if (++number_ == Stage::count(params_)) number_ = 0;
    load();
  }

 private:
  __device__ __forceinline__ void load() {
    const Stage next(params_, number_);
    const unsigned char* from = next.from + warp_ * next.stride + lane_ * 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) words_[i] = __ldg(reinterpret_cast<const uint4*>(from + i * 512));
  }

  CoreRing<D, Ring>& ring_;
  const pm_block_tail_params& params_;
  int warp_;
  int lane_;
  int slot_ = 0;
  uint32_t phase_ = 0;
  int left_;        // stages to fill
  int number_ = 0;  // of the next one, in its tile
  int fill_slot_ = 0;
  uint32_t fill_phase_ = 0;
  uint4 words_[4];  // of the next one
};

}  // namespace posemamba::cuda
