// A warp's weights of all four products of the tail, in order of use: packed tiles, four registers
// a lane each, in a ring of registers. They come straight from the L2, a product ahead.
#pragma once

#include "cuda/block/tail_warpgroup/products.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kTailWarpgroups = 4;
constexpr int kTailWarps = 4 * kTailWarpgroups;

// Rows that a warp of tail_warpgroup has side by side: one in its even lanes and one in its odd
// ones where a row alone would leave half of the lanes idle.
template <int D, int Rows>
constexpr int kRowsAtOnce = D == 64 && Rows > kTailWarps ? 2 : 1;

enum TailProduct { kOutProj, kFc1, kFc2, kInProj, kTailProducts };

// The packed weights of a TailProduct.
__device__ __forceinline__ const void* matrix_of(const pm_block_tail_params& params, int product) {
  if (product == kOutProj) return params.out_proj;
  if (product == kFc1) return params.fc1;
  return product == kFc2 ? params.fc2 : params.next.in_proj;
}

// A packed tile as the left operand: its middle words swapped. `zero` must be a zero that the
// compiler does not know. Without it the swap is a copy, which ptxas puts right behind the load:
// every load is then waited for where it starts.
__device__ __forceinline__ void left_operand(const uint4& tile, uint32_t zero, uint32_t (&a)[4]) {
  a[0] = tile.x ^ zero, a[1] = tile.z ^ zero, a[2] = tile.y ^ zero, a[3] = tile.w ^ zero;
}
__device__ __forceinline__ uint32_t hidden_zero(const pm_block_tail_params& params) {
  return static_cast<uint32_t>(params.d_model >> 31);
}

// The tiles of a warp, product after product; Tiles has turns(product) and steps(product) of a
// turn.
template <class Tiles>
struct TailOrder {
  static __host__ __device__ constexpr int first(int product) {
    int sum = 0;
    for (int p = 0; p < product; ++p) sum += Tiles::turns(p) * Tiles::steps(p);
    return sum;
  }
  static __host__ __device__ constexpr int product_of(int tile) {
    int product = 0;
    while (product + 1 < kTailProducts && first(product + 1) <= tile) ++product;
    return product;
  }
};

// How a product is dealt out: 64 outputs a warpgroup and turn. Where that leaves warpgroups over,
// those of out_proj and fc2 part the inputs: what comes out is summed anyway.
template <int D>
struct TailTiles : TailOrder<TailTiles<D>> {
  static __host__ __device__ constexpr int inputs(int product) {
    return product == kOutProj || product == kFc2 ? 2 * D : D;
  }
  static __host__ __device__ constexpr int groups(int product) {  // of 64 outputs
    return (product == kFc1 ? 2 * D : product == kInProj ? 4 * D : D) / 64;
  }
  static __host__ __device__ constexpr int parts(int product) {
    const bool summed = product == kOutProj || product == kFc2;
    return summed && groups(product) < kTailWarpgroups ? kTailWarpgroups / groups(product) : 1;
  }
  static __host__ __device__ constexpr int turns(int product) {
    return groups(product) > kTailWarpgroups ? groups(product) / kTailWarpgroups : 1;
  }
  static __host__ __device__ constexpr int steps(int product) {  // tiles of a part and turn
    return inputs(product) / 16 / parts(product);
  }
};

template <int D, int Rows>
class TailWeights {
  using Tiles = TailTiles<D>;
  using Core = CoreRows<Rows, kRowsAtOnce<D, Rows>>;

 public:
  // Tiles in registers, used or on their way: measured, 12 are slower and spill.
  static constexpr int kRing = 10;
  static_assert(kRing >= Tiles::steps(kOutProj) && kRing >= Tiles::steps(kInProj), "a whole turn");

  __device__ __forceinline__ TailWeights(const pm_block_tail_params& params, int warp, int lane)
      : params_(params),
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
      if (busy<kProduct>()) {
        const int tile = group_of<kProduct>(kIndex / kSteps) * 4 + warp_;
        const int step = part<kProduct>() * kSteps + kIndex % kSteps;
        const auto* from = static_cast<const uint4*>(matrix_of(params_, kProduct)) +
                           (tile * (Tiles::inputs(kProduct) / 16) + step) * 32 + lane_;
#pragma unroll
        for (int i = From; i < kEnd; ++i) ring_[i % kRing] = load_here(from + (i - From) * 32);
      }
      load<kEnd, To>();
    }
  }

  // rows * the product's weights, `rows` in CoreRows; put(part, the warp's first output, sums).
  // What a turn has used makes room for the next loads.
  template <int Product, int Turn = 0, class Put>
  __device__ __forceinline__ void run(const __half* rows, Put&& put) {
    constexpr int kFirst = Tiles::first(Product) + Turn * Tiles::steps(Product);
    OutputSums<Rows> sums = {};
    if (busy<Product>()) multiply<Product, Turn>(rows, sums);
    load<kFirst + kRing, kFirst + Tiles::steps(Product) + kRing>();
    if (busy<Product>()) put(part<Product>(), group_of<Product>(Turn) * 64 + warp_ * 16, sums);
    if constexpr (Turn + 1 < Tiles::turns(Product)) run<Product, Turn + 1>(rows, put);
  }

 private:
  template <int Product>
  __device__ __forceinline__ int part() const {
    return Tiles::parts(Product) == 1 ? 0 : group_ / Tiles::groups(Product);
  }
  template <int Product>
  __device__ __forceinline__ int group_of(int turn) const {
    return Tiles::groups(Product) < kTailWarpgroups ? group_ % Tiles::groups(Product)
                                                    : turn * kTailWarpgroups + group_;
  }
  // Warpgroups beyond a product's outputs rest, and all of them where the head follows.
  template <int Product>
  __device__ __forceinline__ bool busy() const {
    if (Product == kInProj && params_.next.xz == nullptr) return false;
    return Tiles::groups(Product) * Tiles::parts(Product) >= kTailWarpgroups ||
           group_ < Tiles::groups(Product);
  }

  template <int Product, int Turn>
  __device__ __forceinline__ void multiply(const __half* rows, OutputSums<Rows>& sums) {
    constexpr int kSteps = Tiles::steps(Product);
    constexpr int kFirst = Tiles::first(Product) + Turn * kSteps;
    const uint64_t from =
        Core::descriptor(rows) + static_cast<unsigned>(part<Product>() * kSteps) * Core::kStep;
    uint32_t a[kSteps][4];
    // Later tiles are loaded with norms before their use, where copies cost nothing: with the zero
    // for them too the tail takes 0.2 us more.
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
      left_operand(ring_[(kFirst + i) % kRing], Product == kOutProj ? zero_ : 0, a[i]);
    products_begin(sums, a);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      warpgroup_product(sums, a[i], from + static_cast<unsigned>(i) * Core::kStep);
    }
    products_under_way();
    products_wait<0>();
    products_end(sums);
  }

  const pm_block_tail_params& params_;
  int group_;
  int warp_;  // of its group
  int lane_;
  uint4 ring_[kRing];
  uint32_t zero_;  // see left_operand
};

}  // namespace posemamba::cuda
