// The recurrence of version 2: a channel's states lie on a group of lanes of one warp.
//
// Made to be right for every size: up to 256 states, any number of channels, any steps. Four to
// sixteen channels a block, walked from the first step to the last.
#pragma once

#include <cstddef>

#include "cuda/device/device.cuh"
#include "posemamba/scan_v2.h"

namespace posemamba::cuda {

constexpr int kGroupThreads = 128;
constexpr unsigned kAllLanes = 0xffffffffu;

template <int Lanes, int PerLane>
struct LaneGroup {
  static constexpr int kStates = Lanes * PerLane;  // that fit; those beyond d_state are zero
  static constexpr int kChannels = kGroupThreads / Lanes;  // of a block
  static constexpr int kTile = kStates <= 64 ? 32 : 16;    // steps in shared memory at once

  int lane;
  int channel;  // of the block's
  float rate[PerLane];
  float state[PerLane];

  __device__ __forceinline__ LaneGroup()
      : lane(static_cast<int>(threadIdx.x) % Lanes),
        channel(static_cast<int>(threadIdx.x) / Lanes) {}

  __device__ __forceinline__ int number(int i) const { return i * Lanes + lane; }

  // A [d_state] of the group's channel; null for a channel there is not.
  __device__ __forceinline__ void begin(const float* A, int d_state) {
#pragma unroll
    for (int i = 0; i < PerLane; ++i) {
      rate[i] = A != nullptr && number(i) < d_state ? A[number(i)] * kLog2e : 0.0f;
    }
    reset();
  }

  __device__ __forceinline__ void reset() {
#pragma unroll
    for (int i = 0; i < PerLane; ++i) state[i] = 0.0f;
  }

  // h <- 2^(dt A log2 e) h + dt u B; returns C . h to every lane of the group. b, c [kStates].
  __device__ __forceinline__ float step(float dt, float du, const float* b, const float* c) {
    float y = 0.0f;
#pragma unroll
    for (int i = 0; i < PerLane; ++i) {
      state[i] = fmaf(exp2_fast(dt * rate[i]), state[i], du * b[number(i)]);
      y = fmaf(state[i], c[number(i)], y);
    }
#pragma unroll
    for (int offset = Lanes / 2; offset > 0; offset /= 2) {
      y += __shfl_xor_sync(kAllLanes, y, offset);
    }
    return y;
  }
};

template <class Group>
struct GroupType {
  using type = Group;
};

// Calls `use` with the type of the smallest group that holds d_state states.
template <class Use>
auto with_group(int32_t d_state, const Use& use) {
  if (d_state <= 16) return use(GroupType<LaneGroup<8, 2>>{});
  if (d_state <= 32) return use(GroupType<LaneGroup<8, 4>>{});
  if (d_state <= 64) return use(GroupType<LaneGroup<16, 4>>{});
  if (d_state <= 128) return use(GroupType<LaneGroup<32, 4>>{});
  return use(GroupType<LaneGroup<32, 8>>{});
}

// How a kernel of a group is launched.
template <class Args>
struct GroupLaunch {
  void (*kernel)(Args);
  std::size_t shared;  // bytes
  int channels;        // of a block
};

}  // namespace posemamba::cuda
