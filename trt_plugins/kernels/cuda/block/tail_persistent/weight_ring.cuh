// A tile's weights, one stage after the other, through a ring in shared memory.
//
// Eight matrix warps share every stage, so weights leave the L2 once for 128 positions. A stage is
// 64 inputs of every output (out_proj, fc2: their sums stay in registers) or every input of 64
// outputs (fc1, in_proj): D / 16 pieces of 2 KiB of packed 16x16 tiles either way. One warp does
// nothing but copy: a matrix warp that also copied would hold up the seven others.
#pragma once

#include "cuda/block/copy_async.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kMatrixWarps = 8;

template <int D, int Ring>
struct WeightRing {
  static constexpr int kQuarters = 2 * D / 64;  // of 64 inner or hidden channels
  static constexpr int kPieces = D / 16;
  static constexpr int kPieceBytes = 2048;

  alignas(128) unsigned char stage[Ring][kPieces * kPieceBytes];
  uint64_t full[Ring];   // the copies are complete
  uint64_t empty[Ring];  // every matrix warp has read the stage

  __device__ __forceinline__ void init() {
    for (int i = 0; i < Ring; ++i) {
      barrier_init(full + i, kBulkCopies ? 1 : 32);
      barrier_init(empty + i, kMatrixWarps);
    }
    barriers_ready();
  }

  // The copying warp's part: the whole sequence, `tiles` times.
  __device__ __forceinline__ void run_copies(const pm_block_tail_params& params, int tiles,
                                             int lane) {
    const int stages = (params.next.xz != nullptr ? 5 : 3) * kQuarters;
    int slot = 0;
    uint32_t phase = 0;
#pragma unroll 1
    for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll 1
      for (int number = 0; number < stages; ++number) {
        // A slot's first wait is for the phase before the barrier's first: complete already.
        barrier_wait(empty + slot, phase ^ 1);
        copy_stage(params, number, slot, lane);
        if (++slot == Ring) slot = 0, phase ^= 1;
      }
    }
  }

 private:
  __device__ __forceinline__ void copy_stage(const pm_block_tail_params& params, int number,
                                             int slot, int lane) {
    constexpr int kTileRow = 2 * D / 16 * 512;  // 16 outputs of out_proj or fc2
    const int after = number - kQuarters;
    const bool mlp = after >= 0 && after < 2 * kQuarters;
    const bool inputs = after < 0 || (mlp && after % 2 == 1);
    const void* matrix = params.out_proj;
    int index = number;
    if (mlp) matrix = inputs ? params.fc2 : params.fc1, index = after / 2;
    if (after >= 2 * kQuarters) matrix = params.next.in_proj, index = after - 2 * kQuarters;
    const unsigned char* from = static_cast<const unsigned char*>(matrix) +
                                index * (inputs ? kPieceBytes : kPieces * kPieceBytes);
    const int stride = inputs ? kTileRow : kPieceBytes;
    if constexpr (kBulkCopies) {
      if (lane == 0) barrier_expect(full + slot, kPieces * kPieceBytes);
      __syncwarp();  // expected before any of it arrives
      if (lane < kPieces) {
        copy_bulk(stage[slot] + lane * kPieceBytes, from + lane * stride, kPieceBytes, full + slot);
      }
    } else {
#pragma unroll 1
      for (int piece = 0; piece < kPieces; ++piece) {
#pragma unroll
        for (int i = lane * 16; i < kPieceBytes; i += 32 * 16) {
          copy_async(stage[slot] + piece * kPieceBytes + i, from + piece * stride + i);
        }
      }
      copies_arrive(full + slot);
    }
  }
};

// A matrix warp's place in the ring.
template <int D, int Ring>
class WeightReader {
 public:
  __device__ __forceinline__ explicit WeightReader(WeightRing<D, Ring>& ring) : ring_(ring) {}

  // The next stage's packed words. All lanes of a warp together.
  __device__ __forceinline__ const uint4* acquire() {
    barrier_wait(ring_.full + slot_, phase_);
    return reinterpret_cast<const uint4*>(ring_.stage[slot_]);
  }
  __device__ __forceinline__ void release(int lane) {
    __syncwarp();  // every lane has read
    if (lane == 0) barrier_arrive(ring_.empty + slot_);
    if (++slot_ == Ring) slot_ = 0, phase_ ^= 1;
  }

 private:
  WeightRing<D, Ring>& ring_;
  int slot_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace posemamba::cuda
