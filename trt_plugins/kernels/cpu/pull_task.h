// What the gradients of both operators share: constants and sums of a row of channels.
#pragma once

#include "cpu/scan_tile_backward.h"
#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

// Where a task keeps the gradients of its channels' parameters, [channels, ...] each.
struct WeightGradients {
  float* dA;       // [channels, d_state]
  float* dW;       // [channels, dt_rank]
  float* dt_bias;  // [channels]
  float* D;        // [channels]
};

static inline WeightGradients weight_gradients(float* at, int64_t capacity, int d_state,
                                               int dt_rank) {
  return {at, at + capacity * d_state, at + capacity * (d_state + dt_rank),
          at + capacity * (d_state + dt_rank + 1)};
}

// Sums over steps, one lane a channel, as DirectionTables has the constants.
struct PullTables {
  alignas(64) float later[kStateRows * kChunk];        // [vectors, d_state, kLanes]
  alignas(64) float dA[kStateRows * kChunk];           // [vectors, d_state, kLanes]
  alignas(64) float dW[kMaxWeightChunks * kChunk];     // [vectors, dt_rank, kLanes]
  alignas(64) float dt_bias[kMaxTaskChunks * kChunk];  // [vectors, kLanes]
  alignas(64) float D[kMaxTaskChunks * kChunk];        // [vectors, kLanes]
};

static inline void clear_tables(int vectors, int d_state, int dt_rank, PullTables& t) {
  for (int v = 0; v < vectors; ++v) {
    for (int n = 0; n < d_state; ++n) {
      store(t.later + (v * d_state + n) * kLanes, vf{});
      store(t.dA + (v * d_state + n) * kLanes, vf{});
    }
    for (int r = 0; r < dt_rank; ++r) store(t.dW + (v * dt_rank + r) * kLanes, vf{});
    store(t.dt_bias + v * kLanes, vf{});
    store(t.D + v * kLanes, vf{});
  }
}

// The first `channels` channels of the sums, channel by channel.
static inline void save_weights(const PullTables& t, int channels, int d_state, int dt_rank,
                                const WeightGradients& to) {
  for (int c = 0; c < channels; c += kLanes) {
    const int v = c / kLanes;
    const int lanes = min_int(kLanes, channels - c);
    for (int i = 0; i < lanes; ++i) {
      for (int n = 0; n < d_state; ++n) {
        to.dA[(c + i) * d_state + n] = t.dA[(v * d_state + n) * kLanes + i];
      }
      for (int r = 0; r < dt_rank; ++r) {
        to.dW[(c + i) * dt_rank + r] = t.dW[(v * dt_rank + r) * kLanes + i];
      }
      to.dt_bias[c + i] = t.dt_bias[v * kLanes + i];
      to.D[c + i] = t.D[v * kLanes + i];
    }
  }
}

// A tile's rows of one vector of channels.
struct PullTile {
  alignas(64) float u[kPullSteps * kLanes];
  alignas(64) float dt[kPullSteps * kLanes];
  alignas(64) float dt_u[kPullSteps * kLanes];
  alignas(64) float slope[kPullSteps * kLanes];  // of dt in what softplus was given
  alignas(64) float dy[kPullSteps * kLanes];
  alignas(64) float through_input[kPullSteps * kLanes];
  alignas(64) float through_decay[kPullSteps * kLanes];
  Trace trace;
};

// After the pull: the gradients of u, in place of through_input, and of what softplus was given, in
// place of through_decay. Adds to the sums of D and the bias.
static inline void finish_steps(PullTile& tile, int steps, vf skip, int v, PullTables& t) {
  constexpr float kLn2 = 0.693147180559945309f;  // decays are A log2(e)
  vf bias = load(t.dt_bias + v * kLanes);
  vf D = load(t.D + v * kLanes);
  for (int s = 0; s < steps; ++s) {
    const int at = s * kLanes;
    const vf u = load(tile.u + at);
    const vf dy = load(tile.dy + at);
    const vf input = load(tile.through_input + at);
    const vf decay = load(tile.through_decay + at) * splat(kLn2);
    const vf dv = fma(u, input, decay) * load(tile.slope + at);
    store(tile.through_input + at, fma(load(tile.dt + at), input, skip * dy));
    store(tile.through_decay + at, dv);
    bias += dv;
    D = fma(dy, u, D);
  }
  store(t.dt_bias + v * kLanes, bias);
  store(t.D + v * kLanes, D);
}

// Which task of a plan this is.
struct PullTask {
  int64_t item;  // of the batch
  int row;
  int64_t chunk;  // the first one
  int64_t channel;
  int channels;
  int vectors;
  float* memory;
};

static inline PullTask pull_task(const PullPlan& plan, int64_t index, int64_t row_channels) {
  PullTask task{};
  const int64_t part = index % plan.parts;
  task.row = static_cast<int>(index / plan.parts % plan.rows);
  task.item = plan.first_item + index / plan.parts / plan.rows;
  task.chunk = part * plan.chunks_per_task;
  task.channel = task.chunk * kChunk;
  const int64_t left = row_channels - task.channel;
  const int64_t most = plan.chunks_per_task * kChunk;
  task.channels = static_cast<int>(left < most ? left : most);
  task.vectors = (task.channels + kLanes - 1) / kLanes;
  task.memory = plan.workspace + index * plan.task_floats;
  return task;
}

}  // namespace
}  // namespace posemamba
