// The two passes of the resident design over a sub-chunk: they only read, multiply and add.
#pragma once

#include "cuda/scan/split_channel/resident/config.cuh"

namespace posemamba::cuda::resident {

class Scanner {
 public:
  // `thread` of the sub-chunk's. A 16-byte shared read is served at full rate only if neighbouring
  // lanes share addresses: bit 0 of the lane chooses between channels, bit 1 between states.
  __device__ __forceinline__ Scanner(const CrossArgs& a, int direction, int first, int sub,
                                     int thread)
      : sub_(sub) {
    const int l = thread % 32;
    lane_ = (l >> 1 & 1) | (l >> 4 & 1) << 1;
    channel_ = ((l & 1) | (l >> 2 & 3) << 1) + thread / 32 * kGroups;
    // A lane without a channel repeats the last one, and stores nothing.
    const int64_t channel = min(first + channel_, a.d_inner - 1);
    const float* from = a.A + (int64_t{direction} * a.d_inner + channel) * kOnePassStates;
#pragma unroll
    for (int i = 0; i < kSpl; ++i) a_[i] = __ldg(from + lane_ + kLanes * i) * kLog2e;
  }

  __device__ __forceinline__ int lane() const { return lane_; }
  __device__ __forceinline__ int channel() const { return channel_; }

  // First pass: what quads [quad, end) end with, beginning with none.
  __device__ __forceinline__ void find_end(Shared& s, int quad, int end) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kSpl; ++i) h_[i] = 0.0f;
#pragma unroll 1
    for (; quad + kBody <= end; quad += kBody) body<false, kBody>(s, quad, &sum, nullptr, 0, 0);
#pragma unroll 1
    for (; quad < end; ++quad) body<false, 1>(s, quad, &sum, nullptr, 0, 0);
    float* to = ends(s);
#pragma unroll
    for (int i = 0; i < kSpl; ++i) to[kLanes * i] = h_[i];
    if (lane_ == 0) s.sums[sub_][channel_] = sum;
  }

  // Second pass: the outputs of quads [quad, end), from the states that the sub-chunk begins with.
  // `out` is this lane's first, of which `left` steps are not past the end of the sequence.
  __device__ __forceinline__ void find_outputs(Shared& s, int quad, int end, __half* out,
                                               int stride, int left) {
    const float* from = ends(s);
#pragma unroll
    for (int i = 0; i < kSpl; ++i) h_[i] = from[kLanes * i];
#pragma unroll 1
    for (; quad + kBody <= end; quad += kBody) {
      body<true, kBody>(s, quad, nullptr, out, stride, left);
      out += kBody * kQuad * stride;
      left -= kBody * kQuad;
    }
#pragma unroll 1
    for (; quad < end; ++quad) {
      body<true, 1>(s, quad, nullptr, out, stride, left);
      out += kQuad * stride;
      left -= kQuad;
    }
  }

 private:
  static_assert(kLanes == kQuad, "of a quad's outputs each lane stores one");

  __device__ __forceinline__ float* ends(Shared& s) const {
    return s.ends[sub_] + channel_ * kEndRow + lane_;
  }
  static __device__ __forceinline__ void read(const float* from, float (&to)[kQuad]) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  }

  // `Quads` quads: their outputs, or the sum of their dt.
  template <bool kOut, int Quads>
  __device__ __forceinline__ void body(const Shared& s, int quad, float* sum, __half* out,
                                       int stride, int left) {
    float v[kQuad * Quads];
#pragma unroll
    for (int t = 0; t < kQuad * Quads; t += kQuad) {
      const int step = quad * kQuad + t;
      float dt[kQuad];
      float du[kQuad];
      float b[kSpl][kQuad];
      float c[kSpl][kQuad];
      read(s.dt + channel_ * kRow + step, dt);
      read(s.du + channel_ * kRow + step, du);
#pragma unroll
      for (int i = 0; i < kSpl; ++i) {
        const float* words = s.bc + step * kStates2 + (lane_ + kLanes * i) * kQuad;
        read(words, b[i]);
        if constexpr (kOut) read(words + kQuad * kOnePassStates, c[i]);
      }
#pragma unroll
      for (int j = 0; j < kQuad; ++j) {
        if constexpr (!kOut) *sum += dt[j];
#pragma unroll
        for (int i = 0; i < kSpl; ++i) {
          h_[i] = fmaf(exp2_fast(dt[j] * a_[i]), h_[i], du[j] * b[i][j]);
          if constexpr (kOut) v[t + j] = i == 0 ? h_[0] * c[0][j] : fmaf(h_[i], c[i][j], v[t + j]);
        }
      }
    }
    if constexpr (kOut) {
#pragma unroll
      for (int t = 0; t < kQuad * Quads; t += kQuad) {
        total(v + t);
        if (t + lane_ < left) Io<__half>::store(out + t * stride, v[t]);
      }
    }
  }

  // Sums over a channel's lanes: of four steps lane j ends with the total of step j.
  __device__ __forceinline__ void total(float* v) const {
#pragma unroll
    for (int half = kLanes / 2; half > 0; half /= 2) {
      const int upper = lane_ & half;
      const int distance = half == 2 ? 16 : 2;  // in lanes of the warp
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const float low = v[i];
        const float high = v[i + half];
        v[i] = select(upper, low, high) + __shfl_xor_sync(~0u, select(upper, high, low), distance);
      }
    }
  }

  float a_[kSpl];  // A * log2(e)
  float h_[kSpl];
  int sub_;
  int lane_;     // of the channel's: states lane_ + kLanes * i
  int channel_;  // of the block
};

}  // namespace posemamba::cuda::resident
