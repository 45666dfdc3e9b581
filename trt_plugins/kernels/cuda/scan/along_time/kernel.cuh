// SelectiveScan with lanes along the sequence. A warp owns a channel of one batch item, a lane 4
// or 8 steps in a row; states are taken one after another, so few of them cost little, where the
// other designs hold at least 16.
//
// A tile is 128 or 256 steps. The recurrence h = a h + b is a composition of affine maps, and a
// product of decays is the exponential of a sum: exp(A dt_i) ... exp(A dt_j) = exp(A (dt_i + ... +
// dt_j)). The sums of dt over 1, 2, 4, ... lanes are the same for every state and found once a
// tile; a state's scan over the lanes is then one shuffle, one exponential and one addition a
// level. No shared memory and no barrier: other warps hide what one waits for. Nothing is added in
// an order that depends on anything but the lane, so results repeat bit for bit.
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/device/occupancy.cuh"
#include "cuda/scan/sequence_args.h"

namespace posemamba::cuda::along_time {

struct Args : SequenceArgs {
  int64_t rows;  // batch * groups * channels
};

constexpr int kWarps = 4;    // of a thread block: channels that share B and C, through the L1
constexpr int kLevels = 5;   // of a scan over 32 lanes
constexpr int kStates = 32;  // at most: a lane keeps one state between tiles
constexpr unsigned kAll = 0xffffffffu;

// Read at once, in one instruction or two.
template <typename T, int kSteps>
struct alignas(sizeof(T) * kSteps > 16 ? 16 : sizeof(T) * kSteps) Run {
  T v[kSteps];
};

// Where a lane's steps lie in a row of `steps` elements. Steps past the end repeat the last one
// (aligned: the last ones); whoever needs them inert makes them so.
template <int kSteps, bool kAligned>
struct Stretch {
  int first;
  int steps;
  bool reverse;

  __device__ __forceinline__ int position(int i) const {
    const int step = min(first + i, steps - 1);
    return reverse ? steps - 1 - step : step;
  }
  __device__ __forceinline__ int group() const {
    const int step = min(first, steps - kSteps);
    return reverse ? steps - kSteps - step : step;
  }
  __device__ __forceinline__ bool inside(int i) const { return first + i < steps; }
};

template <typename T, int kSteps, bool kAligned>
__device__ __forceinline__ void read(const T* row, const Stretch<kSteps, kAligned>& at,
                                     float (&v)[kSteps]) {
  if constexpr (kAligned) {
    const auto found = *reinterpret_cast<const Run<T, kSteps>*>(row + at.group());
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const float back = Io<T>::value(found.v[kSteps - 1 - i]);
      v[i] = at.reverse ? back : Io<T>::value(found.v[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kSteps; ++i) v[i] = Io<T>::value(Io<T>::load(row + at.position(i)));
  }
}

template <typename T, int kSteps, bool kAligned>
__device__ __forceinline__ void write(T* row, const Stretch<kSteps, kAligned>& at,
                                      const float (&v)[kSteps]) {
  if constexpr (kAligned) {
    if (!at.inside(0)) return;
    Run<T, kSteps> all;
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      Io<T>::store(&all.v[i], at.reverse ? v[kSteps - 1 - i] : v[i]);
    }
    *reinterpret_cast<Run<T, kSteps>*>(row + at.group()) = all;
  } else {
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      if (at.inside(i)) Io<T>::store(row + at.position(i), v[i]);
    }
  }
}

// What a tile's states share: dt of the lane's steps, and sums of it.
template <int kSteps>
struct Times {
  float dt[kSteps];
  float window[kLevels];  // over the 1, 2, 4, 8, 16 lanes that end with this one
  float before;           // over all lanes before this one

  __device__ __forceinline__ void sum(int lane) {
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < kSteps; ++i) total += dt[i];
#pragma unroll
    for (int level = 0; level < kLevels; ++level) {
      window[level] = total;
      const float other = __shfl_up_sync(kAll, total, 1 << level);
      if (lane >= 1 << level) total += other;
    }
    const float other = __shfl_up_sync(kAll, total, 1);
    before = lane == 0 ? 0.0f : other;
  }
};

// One state over a tile: from `start`, its value before the tile, to the one after it. Adds
// C h to y.
template <int kSteps>
__device__ __forceinline__ float scan_state(const Times<kSteps>& t, const float (&du)[kSteps],
                                            float a, const float (&b)[kSteps],
                                            const float (&c)[kSteps], float start, int lane,
                                            float (&y)[kSteps]) {
  float decay[kSteps];
  float h = 0.0f;
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    decay[i] = exp2_fast(a * t.dt[i]);
    h = fmaf(decay[i], h, du[i] * b[i]);
  }
#pragma unroll
  for (int level = 0; level < kLevels; ++level) {
    const float other = __shfl_up_sync(kAll, h, 1 << level);
    if (lane >= 1 << level) h = fmaf(exp2_fast(a * t.window[level]), other, h);
  }
  const float other = __shfl_up_sync(kAll, h, 1);  // of the lanes before, from zero
  h = fmaf(exp2_fast(a * t.before), start, lane == 0 ? 0.0f : other);
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    h = fmaf(decay[i], h, du[i] * b[i]);
    y[i] = fmaf(c[i], h, y[i]);
  }
  return __shfl_sync(kAll, h, 31);
}

// kAligned: every row's runs of a lane's steps can be read at once. Registers: 4 steps leave 24
// warps an SM, 8 leave 16; a block less from sm_100 on.
template <typename T, int kSteps, bool kAligned>
__global__ void __launch_bounds__(32 * kWarps, blocks_of_sm((kSteps == 4 ? 24 : 16) / kWarps))
    along_time_kernel(const __grid_constant__ Args a) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row =
      int64_t{blockIdx.x} * kWarps + static_cast<int>(threadIdx.x) / 32;  // of u, delta, z and y
  if (row >= a.rows) return;
  const int64_t of_states = row / a.channels;  // batch * groups + group
  const int group = static_cast<int>(of_states % a.groups);
  const int64_t weight = int64_t{group} * a.channels + row % a.channels;
  const int64_t at = row * a.steps;
  const T* b_rows = static_cast<const T*>(a.B) + of_states * a.d_state * a.steps;
  const T* c_rows = static_cast<const T*>(a.C) + of_states * a.d_state * a.steps;
  const float bias = a.delta_bias != nullptr ? __ldg(a.delta_bias + weight) : 0.0f;
  const float skip = a.D != nullptr ? __ldg(a.D + weight) : 0.0f;
  float kept = 0.0f;  // lane n: state n between tiles
  Stretch<kSteps, kAligned> here{lane * kSteps, a.steps, a.reverse[group] != 0};
#pragma unroll 1
  for (; here.first - lane * kSteps < a.steps; here.first += 32 * kSteps) {
    Times<kSteps> t;
    float du[kSteps];
    float y[kSteps];
    read(static_cast<const T*>(a.delta) + at, here, t.dt);
    read(static_cast<const T*>(a.u) + at, here, du);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      float dt = t.dt[i] + bias;
      if (a.delta_softplus) dt = softplus(dt);
      t.dt[i] = here.inside(i) ? dt : 0.0f;  // a step past the end must be inert
      y[i] = skip * du[i];
      du[i] = here.inside(i) ? dt * du[i] : 0.0f;
    }
    t.sum(lane);
#pragma unroll 1
    for (int n = 0; n < a.d_state; ++n) {
      float b[kSteps];
      float c[kSteps];
      read(b_rows + int64_t{n} * a.steps, here, b);
      read(c_rows + int64_t{n} * a.steps, here, c);
      const float rate = __ldg(a.A + weight * a.d_state + n) * kLog2e;
      const float after = scan_state(t, du, rate, b, c, __shfl_sync(kAll, kept, n), lane, y);
      if (lane == n) kept = after;
    }
    if (a.z != nullptr) {
      float z[kSteps];
      read(static_cast<const T*>(a.z) + at, here, z);
#pragma unroll
      for (int i = 0; i < kSteps; ++i) y[i] *= silu(z[i]);
    }
    write(static_cast<T*>(a.y) + at, here, y);
  }
}

}  // namespace posemamba::cuda::along_time
