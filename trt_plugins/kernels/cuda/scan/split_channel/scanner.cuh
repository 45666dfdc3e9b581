// Scan warps of the split-channel design: they only read, multiply and add.
#pragma once

#include <type_traits>

#include "cuda/scan/split_channel/config.cuh"

namespace posemamba::cuda::split_channel {

template <class C>
class Scanner {
  static constexpr int kSpl = C::kSpl;
  static constexpr int kSum = C::kLanes;  // steps summed over the lanes at once
  static constexpr int kBlock = 32;       // steps of a blocked() body
  // A sum of a step, or two halves of two steps.
  using Total = std::conditional_t<C::kHalfSums, uint32_t, float>;
  static_assert(kSum % 4 == 0 && C::kTile % kBlock == 0 && kBlock % kSum == 0, "step layout");

 public:
  // A 16-byte shared read is served at full rate only if neighbouring lanes share addresses: bit 0
  // of the lane chooses between channels, bit 1 between states.
  __device__ __forceinline__ Scanner(const CrossArgs& a, int direction, int first, int team) {
    const int l = static_cast<int>(threadIdx.x) % 32;
    int group;
    if constexpr (C::kLanes == 8) {
      lane_ = (l >> 1 & 1) | (l >> 3 & 1) << 1 | (l >> 4 & 1) << 2;
      group = (l & 1) | (l >> 2 & 1) << 1;
    } else {
      static_assert(C::kLanes == 8 || C::kLanes == 4, "lane layout");
      lane_ = (l >> 1 & 1) | (l >> 4 & 1) << 1;
      group = (l & 1) | (l >> 2 & 3) << 1;
    }
    group += team * C::kGroups;
    row_ = group * C::kRow;
    out_ = lane_ * C::kOutRow + group;
    // A lane without a channel repeats the last one; the converters store nothing of it.
    const int64_t channel = min(first + group, a.d_inner - 1);
    const float* from = a.A + (int64_t{direction} * a.d_inner + channel) * kOnePassStates;
#pragma unroll
    for (int i = 0; i < kSpl; ++i) {
      const int n = lane_ + C::kLanes * i;
      a_[i] = __ldg(from + n) * kLog2e;
      h_[i] = 0.0f;
      b_[i] = 4 * n;
      c_[i] = 4 * (kOnePassStates + n);
    }
  }

  // Decays and inputs of the segment at `t0`.
  __device__ __forceinline__ void prepare(const Stage<C>& stage, int t0) {
#pragma unroll
    for (int at = 0; at < C::kSegment; at += kSum) prepare(stage, t0, at);
  }

  // What a warp of a team tells the next: the states that its segment begins with.
  __device__ __forceinline__ void take_over(const float (&states)[32 * kSpl]) {
    const float* from = states + threadIdx.x % 32 * kSpl;
#pragma unroll
    for (int i = 0; i < kSpl; ++i) h_[i] = from[i];
  }
  __device__ __forceinline__ void hand_on(float (&states)[32 * kSpl]) const {
    float* to = states + threadIdx.x % 32 * kSpl;
#pragma unroll
    for (int i = 0; i < kSpl; ++i) to[i] = h_[i];
  }

  // The states after each step of the prepared segment take the place of its inputs.
  __device__ __forceinline__ void walk() {
#pragma unroll
    for (int t = 0; t < C::kSegment; ++t) {
#pragma unroll
      for (int i = 0; i < kSpl; ++i) {
        h_[i] = fmaf(decay_[t][i], h_[i], input_[t][i]);
        input_[t][i] = h_[i];
      }
    }
  }

  // Outputs of the walked segment at `t0`, and what prepares the one at `t1` of `next`. Behind the
  // last tile that is made of whatever lies there, and not used.
  __device__ __forceinline__ void finish(Stage<C>& stage, int t0, const Stage<C>& next, int t1) {
    constexpr int kSums = C::kSegment / kSum;
    Total y[kSums];
#if __CUDA_ARCH__ == 800
    asm volatile("" : "+r"(t0));  // addresses made of it ahead would spill there, and there alone
#endif
#pragma unroll
    for (int g = 0; g < kSums; ++g) {
      float v[kSum];
      terms(stage, t0 + g * kSum, v, [&](int t, int i) { return input_[g * kSum + t][i]; });
      prepare(next, t1, g * kSum);
      y[g] = total(v);
    }
    store(stage, t0, y);
  }

  // A tile in one straight line, for a lone warp on its scheduler: a segment's decays are made one
  // ahead, the last ones of the next tile.
  __device__ __forceinline__ void pipelined(Stage<C>& stage, const Stage<C>& next) {
    static_assert(C::kSegment == kSum, "a sum a segment");
    constexpr int kSums = C::kTile / kSum;
    Total y[kSums];
#pragma unroll
    for (int g = 0; g < kSums; ++g) {
      float v[kSum];
      terms(stage, g * kSum, v,
            [&](int t, int i) { return h_[i] = fmaf(decay_[t][i], h_[i], input_[t][i]); });
      if (g + 1 < kSums) {
        prepare(stage, (g + 1) * kSum);
      } else {
        prepare(next, 0);
      }
      y[g] = total(v);
    }
    store(stage, 0, y);
  }

  // A tile in bodies of kBlock steps, for two warps on a scheduler: the compiler's own order wins.
  __device__ __forceinline__ void blocked(Stage<C>& stage) {
#pragma unroll 1
    for (int t0 = 0; t0 < C::kTile; t0 += kBlock) {
      float v[kBlock];
#pragma unroll
      for (int t = 0; t < kBlock; t += 4) {
        float dt[4];
        float du[4];
        float b[kSpl][4];
        float c[kSpl][4];
        read(stage.dt + row_ + t0 + t, dt);
        read(stage.du + row_ + t0 + t, du);
#pragma unroll
        for (int i = 0; i < kSpl; ++i) {
          read(stage.bc + (t0 + t) * kStates2 + b_[i], b[i]);
          read(stage.bc + (t0 + t) * kStates2 + c_[i], c[i]);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
          for (int i = 0; i < kSpl; ++i) {
            h_[i] = fmaf(exp2_fast(dt[j] * a_[i]), h_[i], du[j] * b[i][j]);
            v[t + j] = i == 0 ? h_[0] * c[0][j] : fmaf(h_[i], c[i][j], v[t + j]);
          }
        }
      }
      constexpr int kSums = kBlock / kSum;
      Total y[kSums];
#pragma unroll
      for (int g = 0; g < kSums; ++g) y[g] = total(v + g * kSum);
      store(stage, t0, y);
    }
  }

 private:
  // Decays and inputs of the kSum steps from `at` on of the segment at `t0`.
  __device__ __forceinline__ void prepare(const Stage<C>& stage, int t0, int at) {
#pragma unroll
    for (int t = at; t < at + kSum; t += 4) {
      float dt[4];
      float du[4];
      read(stage.dt + row_ + t0 + t, dt);
      read(stage.du + row_ + t0 + t, du);
#pragma unroll
      for (int i = 0; i < kSpl; ++i) {
        float b[4];
        read(stage.bc + (t0 + t) * kStates2 + b_[i], b);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          decay_[t + j][i] = exp2_fast(dt[j] * a_[i]);
          input_[t + j][i] = du[j] * b[j];
        }
      }
    }
  }

  // Sums of so many groups of kSum steps from `t0` on, all together: a store in between would hold
  // back every later read.
  template <int Sums>
  __device__ __forceinline__ void store(Stage<C>& stage, int t0, const Total (&y)[Sums]) const {
#pragma unroll
    for (int g = 0; g < Sums; ++g) {
      stage.y[(t0 + g * kSum) * C::kOutRow + out_] = rounded(y[g]);
    }
  }

  // What of the outputs of the kSum steps from `t0` on is this lane's; state(step, i) of them.
  template <class State>
  __device__ __forceinline__ void terms(const Stage<C>& stage, int t0, float (&v)[kSum],
                                        const State& state) const {
#pragma unroll
    for (int t = 0; t < kSum; t += 4) {
      float c[kSpl][4];
#pragma unroll
      for (int i = 0; i < kSpl; ++i) read(stage.bc + (t0 + t) * kStates2 + c_[i], c[i]);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int i = 0; i < kSpl; ++i) {
          const float h = state(t + j, i);
          v[t + j] = i == 0 ? h * c[0][j] : fmaf(h, c[i][j], v[t + j]);
        }
      }
    }
  }

  static __device__ __forceinline__ void read(const float* from, float (&to)[4]) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  }

  // Distance, in lanes, of the neighbours whose state lanes differ in bit `half`.
  static __device__ constexpr int distance(int half) {
    if (half == 1) return 2;
    return C::kLanes == 8 && half == 2 ? 8 : 16;
  }

  // Sums over the lanes of a channel: of kSum consecutive steps lane j ends with the total of step
  // j. A butterfly that transposes as it goes: kSum - 1 shuffles per kSum steps, not log2(kSum) per
  // step. In float16 an element is two steps, and the last exchange adds both: kSum / 2 shuffles.
  __device__ __forceinline__ Total total(float* v) const {
    if constexpr (C::kHalfSums) {
      uint32_t pairs[kSum / 2];
#pragma unroll
      for (int i = 0; i < kSum / 2; ++i) {
        pairs[i] = bits_of(__floats2half2_rn(v[2 * i], v[2 * i + 1]));
      }
      reduce<kSum / 2>(pairs);
      return sum_of(pairs[0], __shfl_xor_sync(~0u, pairs[0], distance(1)));
    } else {
      reduce<kSum / 2>(v);
      return v[0];
    }
  }

  // Of every two elements a lane keeps the one that bit `kBit` of its number tells, and adds the
  // neighbour's; then of what is left.
  template <int kBit, typename T>
  __device__ __forceinline__ void reduce(T* v) const {
    constexpr int kSteps = std::is_same_v<T, float> ? 1 : 2;  // of an element
    constexpr int kHalf = kBit / kSteps;
    const int upper = lane_ & kBit;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const T low = v[i];
      const T high = v[i + kHalf];
      v[i] = sum_of(select(upper, low, high),
                    __shfl_xor_sync(~0u, select(upper, high, low), distance(kBit)));
    }
    if constexpr (kHalf > 1) reduce<kBit / 2>(v);
  }

  static __device__ __forceinline__ float sum_of(float a, float b) { return a + b; }
  static __device__ __forceinline__ uint32_t sum_of(uint32_t a, uint32_t b) {
    return bits_of(__hadd2(halves_of(a), halves_of(b)));
  }
  static __device__ __forceinline__ uint32_t bits_of(const __half2& two) {
    return *reinterpret_cast<const uint32_t*>(&two);
  }
  static __device__ __forceinline__ __half2 halves_of(const uint32_t& bits) {
    return *reinterpret_cast<const __half2*>(&bits);
  }

  // This lane's output. The last addition of float16 was exact but for the same rounding.
  __device__ __forceinline__ __half rounded(float sum) const { return __float2half_rn(sum); }
  __device__ __forceinline__ __half rounded(uint32_t sums) const {
    constexpr float kBack = 1.0f / C::kScale;
    const uint32_t two = bits_of(__hmul2(halves_of(sums), __floats2half2_rn(kBack, kBack)));
    return __ushort_as_half(static_cast<unsigned short>(two >> (lane_ % 2 * 16)));
  }

  float a_[kSpl];  // A * log2(e)
  float h_[kSpl];
  float decay_[C::kSegment][kSpl];
  float input_[C::kSegment][kSpl];  // once walked, states
  int b_[kSpl];                     // where this lane's states of B and C lie in four steps
  int c_[kSpl];
  int row_;   // of the lane's channel in Stage::dt and du
  int out_;   // of its output in Stage::y, in a group of kSum steps
  int lane_;  // among the channel's lanes: states lane + kLanes * i
};

}  // namespace posemamba::cuda::split_channel
