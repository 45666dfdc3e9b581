// Producer warps of CrossSelectiveScan for any type and dt rank: the dt projection on the FMA pipe.
#pragma once

#include "cuda/scan/chunked/scan_core.cuh"
#include "cuda/scan/chunked/walk.cuh"
#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

// What a producer warp shares among its lanes for one tile: byte offsets of its steps' rows
// from the batch item, and (Rank > 0) the dt inputs of those steps.
template <int Steps, int Rank>
struct ProducerScratch {
  alignas(16) unsigned x_own[Steps];
  alignas(16) unsigned x_limb[Steps];
  alignas(16) unsigned dbl_own[Steps];
  alignas(16) unsigned dbl_limb[Steps];
  alignas(16) float raw[Rank ? Steps * Rank : 4];
};

// A producer warp's share of a tile: kSteps consecutive steps. load() starts the global reads into
// registers, store() converts them into the stage, so that latency overlaps the previous tile.
// Rank 0 reads dt and its weights from global memory (any dt_rank), else both are in registers.
template <class C, typename T, int Rank, class Walk>
class CrossProducer {
 public:
  static constexpr int kSteps = C::kTile / C::kProducers;
  static constexpr int kPairLanes = C::kChannels / 2;  // lanes covering one position's channels
  static constexpr int kWide = 32 / kPairLanes;        // positions a warp reads at once
  static constexpr int kQuads = kSteps / (4 * kWide);  // groups of 4 steps per lane
  static constexpr int kWords = 2 * C::kStates / 32;   // B and C words per lane and step
  static constexpr bool kPrefetch = kWords == 1;       // more would not fit the registers
  static constexpr int kRawWords = kSteps * Rank;
  static constexpr int kRaw = Rank ? (kRawWords + 31) / 32 : 1;  // per lane
  // More registers would cost the second thread block per SM; the others read shared memory.
  static constexpr bool kKeepWeights = Rank > 0 && Rank <= 8;
  static constexpr int kSharedWeights = Rank > 8 ? Rank * C::kChannels : 0;
  using Scratch = ProducerScratch<kSteps, Rank>;
  using Args = typename Walk::Args;
  static_assert(kPairLanes <= 32 && kQuads >= 1 && kSteps <= 32, "producer layout");
  static_assert(kRawWords % 32 == 0 || kRawWords < 32, "dt layout");

  __device__ __forceinline__ CrossProducer(const Args& args, int batch, int direction, int first,
                                           int begin, int end, const typename Walk::Shared& shared,
                                           Scratch& scratch, const float* weights, int warp)
      : a_(args), scratch_(scratch), walk_(args, direction, shared), begin_(begin), end_(end) {
    lane_ = static_cast<int>(threadIdx.x) & 31;
    first_step_ = warp * kSteps;
    pair_ = lane_ % kPairLanes;
    const int wanted = first + 2 * pair_;
    const int channel = wanted < args.d_inner ? wanted : args.d_inner - 2;  // d_inner is even
    walk_.begin(step_of(0), end_);
    const int64_t item = int64_t{batch} * Walk::positions(args);
    x_ = static_cast<const T*>(args.x) + item * args.x_stride;
    x_lane_ = static_cast<unsigned>(channel) * sizeof(T);
    dbl_ = static_cast<const T*>(args.x_dbl) + item * args.x_dbl_stride +
           direction * (args.dt_rank + 2 * args.d_state);
    const int64_t row = int64_t{direction} * args.d_inner + channel;
    bias_[0] = args.dt_bias[row];
    bias_[1] = args.dt_bias[row + 1];
    weight_ = kSharedWeights ? weights + 2 * pair_ : args.dt_weight + row * args.dt_rank;
    if constexpr (kKeepWeights) {
#pragma unroll
      for (int r = 0; r < Rank; ++r) {
        w_[0][r] = weight_[r];
        w_[1][r] = weight_[Rank + r];
      }
    }
  }

  __device__ __forceinline__ void load(int tile) {
    locate(tile);
    if (a_.pairs_aligned) {
      load_x<true>(scratch_.x_own, x_own_);
      if (walk_.masked()) load_x<true>(scratch_.x_limb, x_limb_);
    } else {
      load_x<false>(scratch_.x_own, x_own_);
      if (walk_.masked()) load_x<false>(scratch_.x_limb, x_limb_);
    }
    if constexpr (kPrefetch) {
      load_words(scratch_.dbl_own, bc_own_);
      if (walk_.masked()) load_words(scratch_.dbl_limb, bc_limb_);
    }
    if constexpr (Rank > 0) {
      load_raw(scratch_.dbl_own, raw_own_);
      if (walk_.masked()) load_raw(scratch_.dbl_limb, raw_limb_);
    }
  }

  __device__ __forceinline__ void store(Stage<C>& stage, int tile) {
    if constexpr (Walk::kTables) {
      if (!walk_.even()) {
        store_all<false>(stage, tile);
        return;
      }
    }
    store_all<true>(stage, tile);
  }

 private:
  using Scalar = typename Io<T>::Scalar;
  using Pair = typename Io<T>::Pair;

  // kEven: steps differ in nothing but their positions. Else each asks the walk.
  template <bool kEven>
  __device__ __forceinline__ float neighbour(int step, float value) const {
    if constexpr (kEven) {
      return value;
    } else {
      return walk_.neighbour(step, value);
    }
  }
  template <bool kEven>
  __device__ __forceinline__ bool idle(int step) const {
    if constexpr (kEven) {
      return false;
    } else {
      return walk_.idle(step);
    }
  }

  template <bool kEven>
  __device__ __forceinline__ void store_all(Stage<C>& stage, int tile) {
    if constexpr (Rank > 0) share_raw<kEven>();
    if (walk_.masked()) {
      store_x<true, kEven>(stage, tile);
      store_words<true, kEven>(stage);
    } else {
      store_x<false, kEven>(stage, tile);
      store_words<false, kEven>(stage);
    }
  }

  // The step of a tile that this lane looks after.
  __device__ __forceinline__ int step_of(int tile) const {
    return begin_ + tile * C::kTile + first_step_ + lane_ % kSteps;
  }
  // First step of this lane's quad g.
  __device__ __forceinline__ int quad_step(int g) const {
    return (g * kWide + lane_ / kPairLanes) * 4;
  }
  __device__ __forceinline__ bool word_used(int m) const {
    return (lane_ + 32 * m) % C::kStates < a_.d_state;
  }
  // Byte offset of this lane's word m inside any step's row.
  __device__ __forceinline__ unsigned column(int m) const {
    const int w = lane_ + 32 * m;
    const int n = word_used(m) ? w % C::kStates : 0;  // padding states read state 0
    return static_cast<unsigned>(a_.dt_rank + (w >= C::kStates ? a_.d_state : 0) + n) * sizeof(T);
  }
  // Uniform base, 32-bit lane offset: an addressing mode of its own on NVIDIA GPUs.
  static __device__ __forceinline__ const T* at(const T* base, unsigned bytes) {
    return reinterpret_cast<const T*>(reinterpret_cast<const char*>(base) + bytes);
  }

  // Lane i finds the rows of this warp's step i.
  __device__ __forceinline__ void locate(int tile) {
    const Visit here = walk_.template visit<C>(step_of(tile), end_);
    const auto x_stride = static_cast<unsigned>(a_.x_stride * sizeof(T));
    const auto dbl_stride = static_cast<unsigned>(a_.x_dbl_stride * sizeof(T));
    __syncwarp();  // every lane has read the previous tile's offsets
    if (lane_ < kSteps) {
      scratch_.x_own[lane_] = here.own * x_stride;
      scratch_.x_limb[lane_] = here.limb * x_stride;
      scratch_.dbl_own[lane_] = here.own * dbl_stride;
      scratch_.dbl_limb[lane_] = here.limb * dbl_stride;
    }
    __syncwarp();
  }

  template <bool kAligned>
  __device__ __forceinline__ void load_x(const unsigned* offsets, Pair (&to)[4 * kQuads]) const {
#pragma unroll
    for (int g = 0; g < kQuads; ++g) {
      const uint4 row = *reinterpret_cast<const uint4*>(offsets + quad_step(g));
      const unsigned o[4] = {row.x, row.y, row.z, row.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const T* p = at(x_, o[i] + x_lane_);
        to[g * 4 + i] =
            kAligned ? Io<T>::load_pair(p) : Io<T>::join(Io<T>::load(p), Io<T>::load(p + 1));
      }
    }
  }

  __device__ __forceinline__ void load_words(const unsigned* offsets,
                                             Scalar (&to)[kPrefetch ? kSteps : 1]) const {
    const unsigned from = column(0);
#pragma unroll
    for (int i = 0; i < kSteps; i += 4) {
      const uint4 row = *reinterpret_cast<const uint4*>(offsets + i);
      to[i] = Io<T>::load(at(dbl_, row.x + from));
      to[i + 1] = Io<T>::load(at(dbl_, row.y + from));
      to[i + 2] = Io<T>::load(at(dbl_, row.z + from));
      to[i + 3] = Io<T>::load(at(dbl_, row.w + from));
    }
  }

  // Lanes beyond a short tile's words repeat them.
  __device__ __forceinline__ int raw_word(int m) const {
    return kRawWords < 32 ? lane_ % (kRawWords ? kRawWords : 1) : lane_ + 32 * m;
  }

  __device__ __forceinline__ void load_raw(const unsigned* offsets, Scalar (&to)[kRaw]) const {
#pragma unroll
    for (int m = 0; m < kRaw; ++m) {
      const int word = raw_word(m);
      const auto in = static_cast<unsigned>(word % Rank * sizeof(T));
      to[m] = Io<T>::load(at(dbl_, offsets[word / Rank] + in));
    }
  }

  template <bool kEven>
  __device__ __forceinline__ void share_raw() {
    __syncwarp();  // every lane has read the previous tile's inputs
#pragma unroll
    for (int m = 0; m < kRaw; ++m) {
      float v = Io<T>::value(raw_own_[m]);
      if (walk_.masked()) v += neighbour<kEven>(raw_word(m) / Rank, Io<T>::value(raw_limb_[m]));
      scratch_.raw[raw_word(m)] = v;
    }
    __syncwarp();
  }

  template <bool kMasked, bool kEven>
  __device__ __forceinline__ void store_x(Stage<C>& stage, int tile) const {
    const int left = end_ - (begin_ + tile * C::kTile + first_step_);  // valid steps of this warp
#pragma unroll
    for (int g = 0; g < kQuads; ++g) {
      const int step = quad_step(g);
      float v[2][4];
      project<kMasked, kEven>(g, v);
      float dt[2][4];
      float du[2][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float2 u = Io<T>::value2(x_own_[g * 4 + i]);
        if constexpr (kMasked) {
          const float2 other = Io<T>::value2(x_limb_[g * 4 + i]);
          u.x += neighbour<kEven>(step + i, other.x), u.y += neighbour<kEven>(step + i, other.y);
        }
        if constexpr (!kEven) {
          u.x = walk_.input(step + i, u.x), u.y = walk_.input(step + i, u.y);
        }
        // An idle step, as those past the end, must not move the state: softplus(-1e4) is exactly
        // 0, and selecting its argument costs one instruction where selecting its result costs a
        // branch.
        const bool inside = step + i < left && !idle<kEven>(step + i);
        dt[0][i] = softplus(inside ? v[0][i] : -1e4f);
        dt[1][i] = softplus(inside ? v[1][i] : -1e4f);
        du[0][i] = dt[0][i] * u.x;
        du[1][i] = dt[1][i] * u.y;
      }
#pragma unroll
      for (int q = 0; q < 2; ++q) {
        const int to = row_of_channel<C>(2 * pair_ + q) * C::kRow + first_step_ + step;
        *reinterpret_cast<float4*>(stage.dt + to) =
            make_float4(dt[q][0], dt[q][1], dt[q][2], dt[q][3]);
        *reinterpret_cast<float4*>(stage.du + to) =
            make_float4(du[q][0], du[q][1], du[q][2], du[q][3]);
      }
    }
  }

  template <bool kMasked, bool kEven>
  __device__ __forceinline__ void store_words(Stage<C>& stage) const {
    float* to = stage.bc + first_step_ * C::kBcRow + lane_;
    if constexpr (kPrefetch) {
      const bool used = word_used(0);
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        float v = Io<T>::value(bc_own_[i]);
        if constexpr (kMasked) v += neighbour<kEven>(i, Io<T>::value(bc_limb_[i]));
        to[i * C::kBcRow] = used && !idle<kEven>(i) ? v : 0.0f;
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < kSteps; ++i) {
#pragma unroll
        for (int m = 0; m < kWords; ++m) {
          float v = Io<T>::value(Io<T>::load(at(dbl_, scratch_.dbl_own[i] + column(m))));
          if constexpr (kMasked) {
            v += neighbour<kEven>(
                i, Io<T>::value(Io<T>::load(at(dbl_, scratch_.dbl_limb[i] + column(m)))));
          }
          to[i * C::kBcRow + 32 * m] = word_used(m) && !idle<kEven>(i) ? v : 0.0f;
        }
      }
    }
  }

  // dt before softplus, for two channels and the four steps of quad g.
  template <bool kMasked, bool kEven>
  __device__ __forceinline__ void project(int g, float (&v)[2][4]) const {
    const int step = quad_step(g);
#pragma unroll
    for (int i = 0; i < 4; ++i) v[0][i] = bias_[0], v[1][i] = bias_[1];
    if constexpr (Rank > 0) {
#pragma unroll
      for (int r = 0; r < Rank; r += 4) {
        float w[2][4];
#pragma unroll
        for (int q = 0; q < 2; ++q) {
#pragma unroll
          for (int m = 0; m < 4; ++m) {
            w[q][m] = kKeepWeights ? w_[q][kKeepWeights ? r + m : 0]
                                   : weight_[(r + m) * C::kChannels + q];
          }
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float4 in = *reinterpret_cast<const float4*>(scratch_.raw + (step + i) * Rank + r);
#pragma unroll
          for (int q = 0; q < 2; ++q) {
            v[q][i] = fmaf(in.x, w[q][0], v[q][i]);
            v[q][i] = fmaf(in.y, w[q][1], v[q][i]);
            v[q][i] = fmaf(in.z, w[q][2], v[q][i]);
            v[q][i] = fmaf(in.w, w[q][3], v[q][i]);
          }
        }
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < 4; ++i) {
        const T* own = at(dbl_, scratch_.dbl_own[step + i]);
        const T* limb = at(dbl_, scratch_.dbl_limb[step + i]);
        float sum[2] = {bias_[0], bias_[1]};
        for (int r = 0; r < a_.dt_rank; ++r) {
          float in = Io<T>::value(Io<T>::load(own + r));
          if constexpr (kMasked)
            in += neighbour<kEven>(step + i, Io<T>::value(Io<T>::load(limb + r)));
          sum[0] = fmaf(in, weight_[r], sum[0]);
          sum[1] = fmaf(in, weight_[a_.dt_rank + r], sum[1]);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (j == i) v[0][j] = sum[0], v[1][j] = sum[1];
        }
      }
    }
  }

  const Args& a_;
  Scratch& scratch_;
  Walk walk_;
  const T* x_;
  const T* dbl_;
  unsigned x_lane_;      // bytes from a position's row to this lane's channels
  const float* weight_;  // Rank > 8: [input][channel] in shared memory; else [channel][input]
  int begin_;
  int end_;
  int lane_;
  int first_step_;
  int pair_;
  float bias_[2];
  float w_[2][kKeepWeights ? Rank : 1];
  Pair x_own_[4 * kQuads];
  Pair x_limb_[4 * kQuads];
  Scalar bc_own_[kPrefetch ? kSteps : 1];
  Scalar bc_limb_[kPrefetch ? kSteps : 1];
  Scalar raw_own_[kRaw];
  Scalar raw_limb_[kRaw];
};

}  // namespace posemamba::cuda
