// What a warp multiplies of all four products of a tail whose blocks part the weights, and its ring
// of packed tiles in registers, in order of use.
#pragma once

#include "cuda/block/tail_cluster/shared.cuh"

namespace posemamba::cuda {

// How a product is dealt out to a cluster. in_proj and fc1: each block has a part of the outputs.
// out_proj and fc2: a part of the inputs, those that it made itself, and what comes out is summed.
// In a block a warpgroup has 64 outputs a turn.
template <int D, int Cluster>
struct ClusterTiles : TailOrder<ClusterTiles<D, Cluster>> {
  static __host__ __device__ constexpr bool summed(int product) {
    return product == kOutProj || product == kFc2;
  }
  static __host__ __device__ constexpr int all_inputs(int product) {
    return summed(product) ? 2 * D : D;
  }
  static __host__ __device__ constexpr int inputs(int product) {
    return summed(product) ? 2 * D / Cluster : D;
  }
  static __host__ __device__ constexpr int outputs(int product) {
    return summed(product) ? D : (product == kFc1 ? 2 * D : 4 * D) / Cluster;
  }
  static __host__ __device__ constexpr int groups(int product) { return outputs(product) / 64; }
  static __host__ __device__ constexpr int turns(int product) {
    return groups(product) > kTailWarpgroups ? groups(product) / kTailWarpgroups : 1;
  }
  static __host__ __device__ constexpr int steps(int product) { return inputs(product) / 16; }
};

template <int D, int Cluster, int Rows>
class ClusterWeights {
  using Tiles = ClusterTiles<D, Cluster>;
  using Line = LineRows<Rows>;

 public:
  static constexpr int kRing = 8;        // tiles in registers, used or on their way
  static constexpr int kChunk = 2;       // that are used, and make room, together
  static constexpr int kBeforeGate = 4;  // gating needs registers too
  static_assert(kRing % kChunk == 0 && Tiles::steps(kOutProj) % kChunk == 0, "whole chunks");

  __device__ __forceinline__ ClusterWeights(const pm_block_tail_params& params, int rank, int warp,
                                            int lane)
      : params_(params),
        rank_(rank),
        group_(warp / 4),
        warp_(warp % 4),
        lane_(lane),
        zero_(hidden_zero(params)) {}

  // Starts the loads of some tiles. Weights come from no earlier launch.
  template <int From, int To>
  __device__ __forceinline__ void load() {
    if constexpr (From < To && From < Tiles::first(kTailProducts)) {
      constexpr int kProduct = Tiles::product_of(From);
      constexpr int kSteps = Tiles::steps(kProduct);
      constexpr int kIndex = From - Tiles::first(kProduct);
      constexpr int kTurnEnd = Tiles::first(kProduct) + (kIndex / kSteps + 1) * kSteps;
      constexpr int kEnd = To < kTurnEnd ? To : kTurnEnd;
      constexpr bool kSummed = Tiles::summed(kProduct);
      if (busy<kProduct>()) {
        const int group = (kSummed ? 0 : rank_ * Tiles::groups(kProduct)) +
                          kIndex / kSteps * kTailWarpgroups + group_;
        const int step = (kSummed ? rank_ * kSteps : 0) + kIndex % kSteps;
        const auto* from = static_cast<const uint4*>(matrix_of(params_, kProduct)) +
                           ((group * 4 + warp_) * (Tiles::all_inputs(kProduct) / 16) + step) * 32 +
                           lane_;
#pragma unroll
        for (int i = From; i < kEnd; ++i) ring_[i % kRing] = load_here(from + (i - From) * 32);
      }
      load<kEnd, To>();
    }
  }

  // rows * the block's part of a product's weights, `rows` in LineRows; put(the warp's first
  // output of the block's, sums). What has been used makes room for the next loads.
  template <int Product, int Turn = 0, class Put>
  __device__ __forceinline__ void run(const __half* rows, Put&& put) {
    constexpr int kSteps = Tiles::steps(Product);
    constexpr int kFirst = Tiles::first(Product) + Turn * kSteps;
    OutputSums<Rows> sums = {};
    if (busy<Product>()) {
      multiply<kFirst, kFirst, kSteps>(Line::descriptor(rows), sums);
      products_wait<0>();
      products_end(sums);
      load<kFirst + kSteps - kChunk + kRing, kFirst + kSteps + kRing>();
    } else {
      load<kFirst + kRing, kFirst + kSteps + kRing>();
    }
    if (busy<Product>()) put((Turn * kTailWarpgroups + group_) * 64 + warp_ * 16, sums);
    if constexpr (Turn + 1 < Tiles::turns(Product)) run<Product, Turn + 1>(rows, put);
  }

 private:
  // Warpgroups beyond a product's outputs rest, and all of them where the head follows.
  template <int Product>
  __device__ __forceinline__ bool busy() const {
    if (Product == kInProj && params_.next.xz == nullptr) return false;
    return Tiles::groups(Product) >= kTailWarpgroups || group_ < Tiles::groups(Product);
  }

  // A chunk of a turn that began with the tile First, while the one before is being waited for.
  template <int Tile, int First, int Steps>
  __device__ __forceinline__ void multiply(uint64_t from, OutputSums<Rows>& sums) {
    uint32_t a[kChunk][4];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) left_operand(ring_[(Tile + i) % kRing], zero_, a[i]);
    products_begin(sums, a);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      warpgroup_product(sums, a[i], from + Line::offset(Tile - First + i));
    }
    products_under_way();
    if constexpr (Tile > First) {
      products_wait<1>();
      load<Tile - kChunk + kRing, Tile + kRing>();
    }
    if constexpr (Tile + kChunk < First + Steps) multiply<Tile + kChunk, First, Steps>(from, sums);
  }

  const pm_block_tail_params& params_;
  int rank_;
  int group_;
  int warp_;  // of its group
  int lane_;
  uint4 ring_[kRing];
  uint32_t zero_;  // see left_operand
};

}  // namespace posemamba::cuda
