// A lane's share of a chunk that lies in shared memory: four channels times four states.
//
// With a_s = exp(dt_s A), the state h_s = a_s h_(s-1) + dt_s u_s B_s and what the loss asks of it
// g_s = C_s dy_s + a_(s+1) g_(s+1) are two recurrences, one in each direction (scan_backward.h).
// Both are linear, so chunks run side by side: first each alone, from zero (`carry`); then what
// enters it from both sides is known, and the gradients follow (`gradients`).
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/scan/backward/problem.cuh"
#include "cuda/scan/backward/staged.cuh"

namespace posemamba::cuda::backward {

constexpr unsigned kWarp = 0xffffffffu;
constexpr float kLn2 = 0.69314718055994530942f;

using Pairs = float[kPerLane][kPerLane];  // [channel][state]

// Sums of Count values over Lanes lanes whose numbers differ in the bits of Stride: the lane that
// has number i among them ends with the sum of v[i % Count] in v[0]. It halves the values as it
// adds, so Count values cost Count - 1 shuffles, not Count log2(Lanes).
template <int Count, int Lanes, int Stride>
__device__ __forceinline__ float fold(float* v, int i) {
  static_assert(Count <= Lanes, "a lane ends with one sum");
#pragma unroll
  for (int half = Count / 2; half > 0; half /= 2) {
    const bool upper = (i & half) != 0;
#pragma unroll
    for (int m = 0; m < half; ++m) {
      const float keep = upper ? v[m + half] : v[m];
      const float send = upper ? v[m] : v[m + half];
      v[m] = keep + __shfl_xor_sync(kWarp, send, half * Stride);
    }
  }
#pragma unroll
  for (int offset = Count; offset < Lanes; offset *= 2) {
    v[0] += __shfl_xor_sync(kWarp, v[0], offset * Stride);
  }
  return v[0];
}

// d softplus(v) / dv = 1 - exp(-dt) of dt = softplus(v). The series keeps the digits of a small dt.
__device__ __forceinline__ float softplus_slope(float dt) {
  float p = -1.0f / 720;
  p = fmaf(p, dt, 1.0f / 120);
  p = fmaf(p, dt, -1.0f / 24);
  p = fmaf(p, dt, 1.0f / 6);
  p = fmaf(p, dt, -0.5f);
  p = fmaf(p, dt, 1.0f);
  return dt < 0.25f ? p * dt : 1.0f - exp2_fast(-dt * kLog2e);
}

template <class S>
class Lane {
 public:
  __device__ __forceinline__ Lane(const Problem& problem, const Place& at, float* shared)
      : p_(problem), at_(at), shared_(shared) {
    const int lane = thread_number() % 32;
    channel_lane_ = lane % S::kChannelLanes;
    state_lane_ = lane / S::kChannelLanes;
    inside_ = warp() * S::kChannels + channel_lane_ * kPerLane;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) {
        const int state = state_lane_ * kPerLane + n;
        const bool real = channel() + j < p_.channels && state < p_.d_state;
        rate_[j][n] =
            real ? p_.A[(group_at() + channel() + j) * p_.d_state + state] * kLog2e : 0.0f;
      }
    }
  }

  // The chunk by itself: its end state and what it asks of the state before it, from zero.
  // `passed` is the decay from the chunk's start through the step.
  __device__ __forceinline__ void carry() {
    Pairs h, asked, passed;
    float sum[kPerLane];
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      sum[j] = 0.0f;
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) h[j][n] = 0.0f, asked[j][n] = 0.0f, passed[j][n] = 1.0f;
    }
#pragma unroll 2
    for (int s = 0; s < kSteps; ++s) {
      const Step x = read(s);
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        sum[j] += x.dt[j];
#pragma unroll
        for (int n = 0; n < kPerLane; ++n) {
          const float decay = exp2_fast(x.dt[j] * rate_[j][n]);
          h[j][n] = fmaf(decay, h[j][n], x.dt[j] * x.u[j] * x.b[n]);
          passed[j][n] *= decay;
          asked[j][n] = fmaf(passed[j][n], x.dy[j] * x.c[n], asked[j][n]);
        }
      }
    }
    save(p_.state, h);
    save(p_.adjoint, asked);
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      if (state_lane_ == 0 && real(j)) p_.dt_sum[chunk_at() + channel() + j] = sum[j];
    }
  }

  // Replaces dt by the gradient of delta, u by its own, with Gated dy by the output before the
  // gate; leaves the gradients of B and C in the warp's sums, those of parameters in the workspace.
  template <bool Gated>
  __device__ __forceinline__ void gradients() {
    Pairs h;
    load(p_.state, h);
    load(p_.adjoint, asked_);
#pragma unroll 1
    for (int tile = 1; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < kTile; ++i) advance(read((tile - 1) * kTile + i), h, h);
      write_start(tile, h);
    }
    skip_ = p_.D != nullptr && owner() ? p_.D[group_at() + channel() + state_lane_] : 0.0f;
    sum_of_skip_ = 0.0f, sum_of_bias_ = 0.0f;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) dA_[j][n] = 0.0f;
    }
#pragma unroll 1
    for (int tile = kTiles - 1; tile >= 0; --tile) backward<Gated>(tile);
    save(p_.state, dA_);
    if (owner()) {
      p_.dt_sum[chunk_at() + channel() + state_lane_] = sum_of_bias_;
      p_.skip[chunk_at() + channel() + state_lane_] = sum_of_skip_;
    }
  }

 private:
  struct Step {
    float dt[kPerLane];
    float u[kPerLane];
    float dy[kPerLane];
    float b[kPerLane];
    float c[kPerLane];
  };

  static __device__ __forceinline__ int warp() { return thread_number() / 32; }
  // The lane's first channel in the group.
  __device__ __forceinline__ int channel() const { return at_.first + inside_; }
  // Where the channels of the group begin, those of the chunk.
  __device__ __forceinline__ int64_t group_at() const { return int64_t{at_.group} * p_.channels; }
  __device__ __forceinline__ int64_t chunk_at() const {
    return (int64_t{at_.row} * p_.chunks + at_.chunk) * p_.channels;
  }
  __device__ __forceinline__ bool real(int j) const { return channel() + j < p_.channels; }
  // The first four lanes of states own a channel each: they end with its sums over states.
  __device__ __forceinline__ bool owner() const {
    return state_lane_ < kPerLane && real(state_lane_);
  }
  __device__ __forceinline__ float* row(int part, int s) const {
    return shared_ + part + s * p_.layout.stride + inside_;
  }

  __device__ __forceinline__ Step read(int s) const {
    Step x;
    read4(row(p_.layout.dt, s), x.dt);
    read4(row(p_.layout.u, s), x.u);
    read4(row(p_.layout.dy, s), x.dy);
    const float* bc = shared_ + p_.layout.bc + s * 2 * S::kStates + state_lane_ * kPerLane;
    read4(bc, x.b);
    read4(bc + S::kStates, x.c);
    return x;
  }

  __device__ __forceinline__ void advance(const Step& x, const Pairs& from, Pairs& to) const {
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) {
        const float decay = exp2_fast(x.dt[j] * rate_[j][n]);
        to[j][n] = fmaf(decay, from[j][n], x.dt[j] * x.u[j] * x.b[n]);
      }
    }
  }

  template <bool Gated>
  __device__ __forceinline__ void backward(int tile) {
    Pairs states[kTile];  // before each step; the first is read twice, for registers are short
    float y[kTile];       // the owned channel's, without D u
    read_start(tile, states[0]);
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      const int s = tile * kTile + i;
      const Step x = read(s);
      Pairs after;
      advance(x, states[i], after);
      float of_c[kPerLane] = {};
      float of_y[kPerLane] = {};
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
#pragma unroll
        for (int n = 0; n < kPerLane; ++n) {
          of_c[n] = fmaf(after[j][n], x.dy[j], of_c[n]);
          if constexpr (Gated) of_y[j] = fmaf(after[j][n], x.c[n], of_y[j]);
          if (i + 1 < kTile) states[i + 1][j][n] = after[j][n];
        }
      }
      sum_channels(of_c, s, S::kStates);
      y[i] = Gated ? fold<kPerLane, S::kStateLanes, S::kChannelLanes>(of_y, state_lane_) : 0.0f;
    }
#pragma unroll
    for (int i = kTile - 1; i > 0; --i) backward_step<Gated>(tile * kTile + i, states[i], y[i]);
    read_start(tile, states[0]);
    backward_step<Gated>(tile * kTile, states[0], y[0]);
  }

  // Of each of the lane's states, the sum over the warp's channels, at `part` of the step's sums.
  __device__ __forceinline__ void sum_channels(float (&v)[kPerLane], int s, int part) const {
    constexpr int kFold = kPerLane < S::kChannelLanes ? kPerLane : S::kChannelLanes;
    float* to = shared_ + p_.layout.sums + (warp() * kSteps + s) * 2 * S::kStates + part +
                state_lane_ * kPerLane + channel_lane_;
#pragma unroll
    for (int first = 0; first < kPerLane; first += kFold) {
      const float sum = fold<kFold, S::kChannelLanes, 1>(v + first, channel_lane_);
      if (channel_lane_ < kFold) to[first] = sum;
    }
  }

  template <bool Gated>
  __device__ __forceinline__ void backward_step(int s, const Pairs& before, float y) {
    const Step x = read(s);
    float through_b[kPerLane];      // sum over states of g B
    float through_decay[kPerLane];  // sum over states of e A log2(e)
    float of_b[kPerLane] = {};      // sum over channels of g dt u
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      through_b[j] = 0.0f, through_decay[j] = 0.0f;
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) {
        const float g = fmaf(x.dy[j], x.c[n], asked_[j][n]);
        asked_[j][n] = exp2_fast(x.dt[j] * rate_[j][n]) * g;
        const float e = asked_[j][n] * before[j][n];
        through_b[j] = fmaf(g, x.b[n], through_b[j]);
        through_decay[j] = fmaf(e, rate_[j][n], through_decay[j]);
        dA_[j][n] = fmaf(e, x.dt[j], dA_[j][n]);
        of_b[n] = fmaf(g, x.dt[j] * x.u[j], of_b[n]);
      }
    }
    sum_channels(of_b, s, 0);
    const float sum_b = fold<kPerLane, S::kStateLanes, S::kChannelLanes>(through_b, state_lane_);
    const float sum_decay =
        fold<kPerLane, S::kStateLanes, S::kChannelLanes>(through_decay, state_lane_);
    __syncwarp();  // every lane has read the step
    if (state_lane_ >= kPerLane) return;
    float& dt = row(p_.layout.dt, s)[state_lane_];
    float& u = row(p_.layout.u, s)[state_lane_];
    float& dy = row(p_.layout.dy, s)[state_lane_];
    const float slope = p_.softplus ? softplus_slope(dt) : 1.0f;
    const float of_delta = fmaf(u, sum_b, kLn2 * sum_decay) * slope;
    const float of_u = fmaf(dt, sum_b, skip_ * dy);
    sum_of_bias_ += of_delta;
    sum_of_skip_ = fmaf(dy, u, sum_of_skip_);
    if constexpr (Gated) dy = fmaf(skip_, u, y);
    dt = of_delta;
    u = of_u;
  }

  // The chunk's [channel][state] in the workspace.
  __device__ __forceinline__ float* place(float* base, int j) const {
    return base + (chunk_at() + channel() + j) * S::kStates + state_lane_ * kPerLane;
  }
  __device__ __forceinline__ void save(float* base, const Pairs& v) const {
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      if (real(j)) write4(place(base, j), v[j]);
    }
  }
  __device__ __forceinline__ void load(const float* base, Pairs& v) const {
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      if (real(j)) {
        read4(place(const_cast<float*>(base), j), v[j]);
      } else {
#pragma unroll
        for (int n = 0; n < kPerLane; ++n) v[j][n] = 0.0f;
      }
    }
  }
  // The states before a tile: of the first they are those that enter the chunk.
  __device__ __forceinline__ float* start(int tile, int j) const {
    return shared_ + p_.layout.starts +
           (((warp() * (kTiles - 1) + tile - 1) * kPerLane + j) * 32 + thread_number() % 32) *
               kPerLane;
  }
  __device__ __forceinline__ void write_start(int tile, const Pairs& h) const {
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) write4(start(tile, j), h[j]);
  }
  __device__ __forceinline__ void read_start(int tile, Pairs& h) const {
    if (tile == 0) {
      load(p_.state, h);
      return;
    }
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) read4(start(tile, j), h[j]);
  }

  const Problem& p_;
  const Place& at_;
  float* shared_;
  int channel_lane_;
  int state_lane_;
  int inside_;   // the lane's first channel in the thread block
  Pairs rate_;   // A log2(e)
  Pairs asked_;  // of the state before, by the steps done
  Pairs dA_;
  float skip_;  // D of the owned channel
  float sum_of_skip_;
  float sum_of_bias_;
};

}  // namespace posemamba::cuda::backward
