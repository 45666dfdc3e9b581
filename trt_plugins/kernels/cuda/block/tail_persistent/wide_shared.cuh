// The persistent tail of d_model 256, whose gated rows a kernel of their own has made
// (gated_rows.cuh): what it is made of, and its shared memory.
#pragma once

#include "cuda/block/tail_persistent/core_ring.cuh"
#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// Two thread blocks whose weights come at once: each copies half of a stage, to both.
__device__ __forceinline__ uint32_t pair_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// All threads of both.
__device__ __forceinline__ void pair_meets() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
// An arrival at block `rank`'s own of a barrier.
__device__ __forceinline__ void pair_arrive(uint64_t* barrier, int rank) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1;"
      " mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];}" ::"r"(
          shared_address(barrier)),
      "r"(rank)
      : "memory");
#endif
}
// Waits for such arrivals.
__device__ __forceinline__ void pair_wait(uint64_t* barrier, uint32_t parity) {
#if __CUDA_ARCH__ >= 900
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2, "
        "1000000; selp.u32 %0, 1, 0, p;}"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
#endif
}
// Half a stage to both blocks; each of their barriers waits for `bytes` of the two halves.
__device__ __forceinline__ void pair_copy(void* to, const void* from, int bytes, uint32_t rank,
                                          uint64_t* barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile("{.reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;}" ::"r"(
                   shared_address(barrier)),
               "r"(bytes)
               : "memory");
  const uint32_t half = static_cast<uint32_t>(bytes) / 2;
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1], %2, [%3], %4;" ::"r"(shared_address(to) + rank * half),
      "l"(static_cast<const char*>(from) + rank * half), "r"(half), "r"(shared_address(barrier)),
      "h"(static_cast<uint16_t>(3))
      : "memory");
#endif
}

// A warp's place in a ring that another warp fills. `Pairs`: in two blocks at once.
template <class Ring, int Slots, bool Pairs>
class StageReader {
 public:
  __device__ __forceinline__ StageReader(Ring& ring, int lane) : ring_(ring), lane_(lane) {}

  // The next stage; several may be held at once.
  __device__ __forceinline__ const unsigned char* acquire() {
    barrier_wait(ring_.full + slot_, phase_);
    const unsigned char* stage = ring_.stage[slot_];
    if (++slot_ == Slots) slot_ = 0, phase_ ^= 1;
    return stage;
  }
  // Gives the oldest one back.
  __device__ __forceinline__ void release() {
    if constexpr (Pairs) {
      __syncwarp();
      if (lane_ < 2) pair_arrive(ring_.empty + oldest_, lane_);
    } else {
      barrier_arrive(ring_.empty + oldest_);
    }
    if (++oldest_ == Slots) oldest_ = 0;
  }

 private:
  Ring& ring_;
  int lane_;
  int slot_ = 0;
  uint32_t phase_ = 0;
  int oldest_ = 0;
};

// `Groups` warpgroups own 64 rows of a tile each, from first to last; a warp of one more copies.
template <int Groups, int Ring, bool Paired, bool Ahead, bool Head>
struct WideTail {
  static constexpr int kWidth = 256;
  static constexpr int kQuarters = WeightStage<kWidth>::kQuarters;
  static constexpr bool kWarpgroups = true;
  static constexpr int kWarps = 4 * Groups;
  static constexpr int kThreads = 32 * (kWarps + 4);
  // The launch gives every thread of three warpgroups 168 registers; those that multiply take what
  // the third leaves. A larger sum would wait for ever. Of two, each has more than it needs.
  static constexpr bool kHands = Groups == 2;
  static constexpr int kMatrixRegisters = Ahead ? 232 : 240;
  static constexpr int kCopyRegisters = 3 * 168 - 2 * kMatrixRegisters;
  static constexpr int kGroupRows = 64;
  static constexpr int kRows = Groups * kGroupRows;  // positions of a tile
  // Whether poses follow the stream: a kernel for either, for the registers.
  static __device__ constexpr bool ends(const pm_next_params&) { return Head; }
  static constexpr bool kPaired = Paired;
  static constexpr bool kAhead = Ahead;
  static constexpr int kSlots = Ring;
  // Of a stage nobody reads any more: every lane's, or of a pair a lane's for each warp of both.
  static constexpr int kReleases = Paired ? 2 * kWarps : kWarpArrivals * kWarps;
  using WeightsRing = CoreRing<kWidth, Ring, kReleases>;
  using Weights = StageReader<WeightsRing, Ring, Paired>;

  struct Shared {
    WeightsRing weights;
    // A warpgroup's normalised rows as core matrices, rows fastest: fc1's operand.
    alignas(128) __half rows[Groups][kGroupRows * kWidth];
    alignas(16) TailVectors<kWidth, true> vectors;
    uint64_t group[Groups];  // the four warps of a warpgroup meet
  };
};

}  // namespace posemamba::cuda
