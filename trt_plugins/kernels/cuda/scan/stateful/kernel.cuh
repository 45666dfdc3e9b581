// SelectiveScan, version 2: a block walks a group of a batch item for some channels, from the state
// it is given to the one it gives back.
#pragma once

#include "cuda/scan/lane_group.cuh"
#include "cuda/scan/sequence_args.h"

namespace posemamba::cuda::stateful {

struct Args : SequenceArgs {
  const float* initial_state;
  float* final_state;
  int blocks_per_row;
};

// A tile in shared memory. B and C are read along the steps and stored along the states: the odd
// stride keeps the lanes of a warp on different banks.
template <class Group>
struct Tile {
  static constexpr int kRow = 2 * Group::kStates + 1;
  float bc[Group::kTile][kRow];
  float dt[Group::kTile][Group::kChannels + 1];
  float du[Group::kTile][Group::kChannels + 1];
  float y[Group::kTile][Group::kChannels + 1];
};

template <class Group, typename T>
class Channels {
 public:
  __device__ __forceinline__ Channels(const Args& args, int row, int first, Tile<Group>* tile)
      : a_(args), tile_(tile), first_(first) {
    thread_ = static_cast<int>(threadIdx.x);
    group_number_ = row % args.groups;
    reverse_ = args.reverse[group_number_] != 0;
    channels_at_ = int64_t{row} * args.channels * args.steps;
    states_at_ = int64_t{row} * args.d_state * args.steps;
    for (int i = thread_; i < Group::kTile * Tile<Group>::kRow; i += kGroupThreads) {
      tile->bc[i / Tile<Group>::kRow][i % Tile<Group>::kRow] = 0.0f;
    }
    const int c = first + group_.channel;
    real_ = c < args.channels;
    channels_ = min(Group::kChannels, args.channels - first);
    group_.begin(
        real_ ? args.A + (int64_t{group_number_} * args.channels + c) * args.d_state : nullptr,
        args.d_state);
    state_at_ = (int64_t{row} * args.channels + c) * args.d_state;
    each_state([&](int i, int64_t at) {
      if (a_.initial_state != nullptr) group_.state[i] = a_.initial_state[at];
    });
  }

  __device__ __forceinline__ void run() {
#pragma unroll 1
    for (int start = 0; start < a_.steps; start += Group::kTile) {
      const int steps = min(Group::kTile, a_.steps - start);
      __syncthreads();  // the last tile is written
      read_states(start, steps);
      read_channels(start, steps);
      __syncthreads();
      scan(steps);
      __syncthreads();
      write(start, steps);
    }
    each_state([&](int i, int64_t at) {
      if (a_.final_state != nullptr) a_.final_state[at] = group_.state[i];
    });
  }

 private:
  template <class Use>
  __device__ __forceinline__ void each_state(const Use& use) {
#pragma unroll
    for (int i = 0; i < Group::kStates / (kGroupThreads / Group::kChannels); ++i) {
      if (real_ && group_.number(i) < a_.d_state) use(i, state_at_ + group_.number(i));
    }
  }

  // Where the step `t` of a tile lies.
  __device__ __forceinline__ int at(int start, int t) const {
    return reverse_ ? a_.steps - 1 - start - t : start + t;
  }

  // A thread reads and writes one step of a tile, for some of the states and channels: neighbours
  // lie beside each other in memory.
  static constexpr int kStride = kGroupThreads / Group::kTile;

  __device__ __forceinline__ void read_states(int start, int steps) {
    const int t = thread_ % Group::kTile;
    if (t >= steps) return;
    const int64_t from = states_at_ + at(start, t);
#pragma unroll 4
    for (int n = thread_ / Group::kTile; n < a_.d_state; n += kStride) {
      const int64_t i = from + int64_t{n} * a_.steps;
      const float b = value(static_cast<const T*>(a_.B) + i);
      const float c = value(static_cast<const T*>(a_.C) + i);
      tile_->bc[t][n] = b;
      tile_->bc[t][n + Group::kStates] = c;
    }
  }

  // dt, dt u and D u of every step and channel.
  __device__ __forceinline__ void read_channels(int start, int steps) {
    const int t = thread_ % Group::kTile;
    if (t >= steps) return;
#pragma unroll 4
    for (int c = thread_ / Group::kTile; c < channels_; c += kStride) {
      const int64_t from = channels_at_ + int64_t{first_ + c} * a_.steps + at(start, t);
      const int64_t row = int64_t{group_number_} * a_.channels + first_ + c;
      float dt = value(static_cast<const T*>(a_.delta) + from);
      const float u = value(static_cast<const T*>(a_.u) + from);
      if (a_.delta_bias != nullptr) dt += __ldg(a_.delta_bias + row);
      if (a_.delta_softplus) dt = softplus(dt);
      tile_->dt[t][c] = dt;
      tile_->du[t][c] = dt * u;
      tile_->y[t][c] = a_.D == nullptr ? 0.0f : __ldg(a_.D + row) * u;
    }
  }

  __device__ __forceinline__ void scan(int steps) {
#pragma unroll 4
    for (int t = 0; t < steps; ++t) {
      const float* b = tile_->bc[t];
      const float dt = real_ ? tile_->dt[t][group_.channel] : 0.0f;
      const float du = real_ ? tile_->du[t][group_.channel] : 0.0f;
      const float y = group_.step(dt, du, b, b + Group::kStates);
      if (real_ && group_.lane == 0) tile_->y[t][group_.channel] += y;
    }
  }

  __device__ __forceinline__ void write(int start, int steps) {
    const int t = thread_ % Group::kTile;
    if (t >= steps) return;
#pragma unroll 4
    for (int c = thread_ / Group::kTile; c < channels_; c += kStride) {
      const int64_t to = channels_at_ + int64_t{first_ + c} * a_.steps + at(start, t);
      float y = tile_->y[t][c];
      if (a_.z != nullptr) y *= silu(value(static_cast<const T*>(a_.z) + to));
      Io<T>::store(static_cast<T*>(a_.y) + to, y);
    }
  }

  __device__ __forceinline__ static float value(const T* from) {
    return Io<T>::value(Io<T>::load(from));
  }

  const Args& a_;
  Tile<Group>* tile_;
  Group group_;
  int first_;
  int thread_;
  int group_number_;
  bool reverse_;
  bool real_;     // whether the group's channel exists
  int channels_;  // of the block that exist
  int64_t channels_at_;
  int64_t states_at_;
  int64_t state_at_;
};

template <class Group, typename T>
__global__ void __launch_bounds__(kGroupThreads) scan_kernel(const __grid_constant__ Args a) {
  __shared__ Tile<Group> tile;
  const int first = static_cast<int>(blockIdx.x) % a.blocks_per_row * Group::kChannels;
  const int row = static_cast<int>(blockIdx.x) / a.blocks_per_row;  // batch * groups + group
  Channels<Group, T>(a, row, first, &tile).run();
}

}  // namespace posemamba::cuda::stateful
