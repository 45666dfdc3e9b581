// A warp's weights through shared memory: bulk copies into two slots of its own. In a pair of
// blocks each brings half of every slot, for both.
#pragma once

#include "cuda/block/tail_warpgroup/weights.cuh"

namespace posemamba::cuda {

template <int Warps>
struct WeightSlots {
  static constexpr int kSlots = 2;
  static constexpr int kTiles = 8;
  alignas(128) uint4 tile[Warps][kSlots][kTiles * 32];
  uint64_t full[Warps][kSlots];
  uint64_t empty[Warps][kSlots];
};

__device__ __forceinline__ void pair_sync() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
#endif
}

template <int D, int Rows, int Warpgroups, bool Pair>
class StagedWeights {
  using Tiles = TailTiles<D, Warpgroups>;
  using Slots = WeightSlots<4 * Warpgroups>;
  static constexpr int kTiles = Slots::kTiles;
  static constexpr int kAll = Tiles::first(kTailProducts);
  static_assert(D == 128 && Warpgroups == 4, "whole units");

 public:
  __device__ __forceinline__ StagedWeights(Slots& slots, const pm_block_tail_params& params,
                                           int warp, int lane)
      : slots_(slots), params_(params), whole_(warp), group_(warp / 4), warp_(warp % 4),
        lane_(lane) {
    rank_ = 0;
#if __CUDA_ARCH__ >= 900
    if (Pair) asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank_));
    if (lane == 0) {
      for (int i = 0; i < 2; ++i) {
        barrier_init(slots.full[warp] + i, 1);
        barrier_init(slots.empty[warp] + i, Pair ? 2 : 1);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
#endif
  }
  __device__ __forceinline__ void start() {
    issue<0>();
    issue<1>();
    __syncwarp();
  }

  template <int Product, int Turn = 0, class Put>
  __device__ __forceinline__ void run(const __half* rows, Put&& put) {
    constexpr int kSteps = Tiles::steps(Product);
    static_assert(kSteps == kTiles, "a unit");
    constexpr int kUnit = Tiles::first(Product) / kTiles + Turn;
    OutputSums<Rows> sums;
    const uint64_t from = CoreRows<Rows>::descriptor(rows) +
                          static_cast<unsigned>(part<Product>() * kSteps) * CoreRows<Rows>::kNext;
    uint32_t a[kTiles][4];
    take<kUnit>(a);
    __syncwarp();
    products_begin(sums, a);
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      product_of_weights(sums, a[i], from + static_cast<unsigned>(i) * CoreRows<Rows>::kNext,
                         i == 0 ? 0 : 1);
    }
    products_under_way();
    products_end(sums);
    issue<kUnit + 2>();
    __syncwarp();
    put(part<Product>(), group_of<Product>(Turn) * 64 + warp_ * 16, sums);
    if constexpr (Turn + 1 < Tiles::turns(Product)) run<Product, Turn + 1>(rows, put);
  }

 private:
  template <int Product>
  __device__ __forceinline__ int part() const {
    return Tiles::parts(Product) == 1 ? 0 : group_ / Tiles::groups(Product);
  }
  template <int Product>
  __device__ __forceinline__ int group_of(int turn) const {
    return Tiles::groups(Product) < Warpgroups ? group_ % Tiles::groups(Product)
                                               : turn * Warpgroups + group_;
  }
  template <int Unit>
  __device__ __forceinline__ bool used() const {
    return Unit * kTiles < kAll &&
           (Unit * kTiles < Tiles::first(kInProj) || params_.next.xz != nullptr);
  }

  template <int Unit>
  __device__ __forceinline__ void issue() {
    if constexpr (Unit * kTiles < kAll) {
#if __CUDA_ARCH__ >= 900
      if (lane_ != 0 || !used<Unit>()) return;
      constexpr int kProduct = Tiles::product_of(Unit * kTiles);
      constexpr int kSteps = Tiles::steps(kProduct);
      constexpr int kTurn = Unit - Tiles::first(kProduct) / kTiles;
      const void* matrix = kProduct == kOutProj ? params_.out_proj
                           : kProduct == kFc1   ? params_.fc1
                           : kProduct == kFc2   ? params_.fc2
                                                : params_.next.in_proj;
      const int tile = group_of<kProduct>(kTurn) * 4 + warp_;
      const uint4* from =
          static_cast<const uint4*>(matrix) +
          (tile * (Tiles::inputs(kProduct) / 16) + part<kProduct>() * kSteps) * 32;
      constexpr int kSlot = Unit % 2;
      uint64_t* full = slots_.full[whole_] + kSlot;
      if (Unit >= 2) barrier_wait(slots_.empty[whole_] + kSlot, (Unit / 2 - 1) & 1);
      constexpr int kBytes = kTiles * 512;
      asm volatile("{.reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;}" ::"r"(
                       shared_address(full)),
                   "r"(kBytes)
                   : "memory");
      uint4* to = slots_.tile[whole_][kSlot];
      if constexpr (Pair) {
        const int half = static_cast<int>(rank_) * kTiles / 2 * 32;
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
            "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to + half)),
            "l"(from + half), "r"(kBytes / 2), "r"(shared_address(full)),
            "h"(static_cast<unsigned short>(3))
            : "memory");
      } else {
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
            "[%3];" ::"r"(shared_address(to)),
            "l"(from), "r"(kBytes), "r"(shared_address(full))
            : "memory");
      }
#endif
    }
  }

  template <int Unit>
  __device__ __forceinline__ void take(uint32_t (&a)[kTiles][4]) {
    constexpr int kSlot = Unit % 2;
    barrier_wait(slots_.full[whole_] + kSlot, (Unit / 2) & 1);
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const uint4 w = slots_.tile[whole_][kSlot][i * 32 + lane_];
      a[i][0] = w.x, a[i][1] = w.z, a[i][2] = w.y, a[i][3] = w.w;
    }
    if constexpr ((Unit + 2) * kTiles < kAll) {
#if __CUDA_ARCH__ >= 900
      __syncwarp();
      if (lane_ != 0 || !used<Unit + 2>()) return;
      uint64_t* empty = slots_.empty[whole_] + kSlot;
      barrier_arrive(empty);
      if constexpr (Pair) {
        asm volatile(
            "{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
            "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];}" ::"r"(
                shared_address(empty)),
            "r"(rank_ ^ 1)
            : "memory");
      }
#endif
    }
  }

  Slots& slots_;
  const pm_block_tail_params& params_;
  int whole_;
  int group_;
  int warp_;
  int lane_;
  uint32_t rank_;
};

}  // namespace posemamba::cuda
