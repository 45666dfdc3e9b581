// Gradient of CrossSelectiveScan, one task: some channels of one direction of one batch item.
#pragma once

#include "cpu/cross_scan_task.h"
#include "cpu/pull_task.h"

namespace posemamba {
namespace {

// One task's inputs, of type T.
template <class T>
struct CrossPull {
  const pm_cross_scan_params& p;
  const PullPlan& plan;
  const PullTask& task;
  int64_t positions;
  int width;       // dt_rank + 2 * d_state
  int row_stride;  // of packed rows
  const T* x;
  const T* x_dbl;
  const T* dy;
  int64_t dy_stride;

  int lanes(int v) const { return min_int(kLanes, task.channels - v * kLanes); }
};

static inline int pull_steps(int64_t positions, int64_t tile) {
  const int64_t left = positions - tile * kPullSteps;
  return left < kPullSteps ? static_cast<int>(left) : kPullSteps;
}

// The state at the start of every tile, in the direction's own order.
template <class T, bool kLimb>
static void keep_states(const CrossPull<T>& in, DirectionTables& tables, CrossTile& tile,
                        float* states) {
  const pm_cross_scan_params& p = in.p;
  Walk walk(p, in.task.row);
  tile.ahead = TilePositions{};
  next_tile(walk, p, in.task.row, pull_steps(in.positions, 0), tile.ahead);
  const int count = in.task.vectors * p.d_state * kLanes;
  for (int64_t i = 0; i < in.plan.tiles; ++i, states += count) {
    memcpy(states, tables.state, static_cast<size_t>(count) * sizeof(float));
    if (i + 1 == in.plan.tiles) return;
    const int steps = pull_steps(in.positions, i);
    tile.at = tile.ahead;
    next_tile(walk, p, in.task.row, pull_steps(in.positions, i + 1), tile.ahead);
    pack_rows<T, kLimb>(in.x_dbl, p.x_dbl_stride, in.width, in.row_stride, steps, tile);
    const TileRows rows{tile.dt, tile.dt_u, tile.rows + p.dt_rank, nullptr, in.row_stride, 0,
                        1,       steps};
    for (int v = 0; v < in.task.vectors; ++v) {
      prepare_tile<T, kLimb>(in.x + v * kLanes, p.x_stride, in.lanes(v),
                             tables.dt_weight + v * p.dt_rank * kLanes, tables.dt_bias + v * kLanes,
                             tables.skip + v * kLanes, p.dt_rank, in.row_stride, steps, tile);
      const int table = v * p.d_state * kLanes;
      advance_tile(rows, p.d_state, tables.decay + table, tables.state + table);
    }
  }
}

// dt, its slope, dt u, u and dy of a tile's rows, for one vector of channels.
template <class T, bool kLimb, int kSteps>
PM_INLINE void prepare_pull_steps(const CrossPull<T>& in, const DirectionTables& tables, int v,
                                  int s, const CrossTile& from, PullTile& tile) {
  vf raw[kSteps];
  project_steps(from.rows + s * in.row_stride, in.row_stride,
                tables.dt_weight + v * in.p.dt_rank * kLanes, in.p.dt_rank, raw);
  const vf bias = load(tables.dt_bias + v * kLanes);
  const int lanes = in.lanes(v);
  PM_UNROLL
  for (int i = 0; i < kSteps; ++i) {
    const int at = (s + i) * kLanes;
    const vf u = gather<T, kLimb>(in.x + v * kLanes, in.p.x_stride, from.at, s + i, lanes);
    const vf dt = softplus(raw[i] + bias);
    store(tile.u + at, u);
    store(tile.dt + at, dt);
    store(tile.dt_u + at, dt * u);
    store(tile.slope + at, logistic(raw[i] + bias));
    store(tile.dy + at, load(in.dy + from.at.token[s + i] * in.dy_stride + v * kLanes, lanes));
    __builtin_prefetch(in.x + from.ahead.token[s + i] * in.p.x_stride + v * kLanes);
    __builtin_prefetch(in.dy + from.ahead.token[s + i] * in.dy_stride + v * kLanes);
    store(tile.through_input + at, vf{});
    store(tile.through_decay + at, vf{});
  }
}

// What a task works with, beside its workspace.
struct CrossPullWork {
  DirectionTables tables;
  CrossTile packed;
  PullTables sums;
  PullTile tile;
};

// After the pull of a vector: du of the direction, and the sums that go through dt_raw.
static inline void finish_tile(const pm_cross_scan_params& p, int v, int row_stride, int steps,
                               CrossPullWork& work, float* dt_sums, float* du) {
  PullTile& tile = work.tile;
  finish_steps(tile, steps, load(work.tables.skip + v * kLanes), v, work.sums);
  for (int s = 0; s < steps; ++s) {
    store(du + work.packed.at.token[s] * kChunk, load(tile.through_input + s * kLanes));
  }
  for (int r = 0; r < p.dt_rank; ++r) {
    const vf weight = load(work.tables.dt_weight + (v * p.dt_rank + r) * kLanes);
    float* dW = work.sums.dW + (v * p.dt_rank + r) * kLanes;
    float* to = dt_sums + r * kPullSteps * kLanes;
    vf sum = load(dW);
    for (int s = 0; s < steps; ++s) {
      const vf dv = load(tile.through_decay + s * kLanes);
      sum = fma(dv, splat(work.packed.rows[s * row_stride + r]), sum);
      store(to + s * kLanes, fma(dv, weight, load(to + s * kLanes)));
    }
    store(dW, sum);
  }
}

// One vector of channels over a packed tile, last step first; `state` is the one at its start.
// shared: [width, kPullSteps, kLanes], the sums over vectors for dt_raw, B and C.
template <class T, bool kLimb>
static void pull_vector(const CrossPull<T>& in, int v, int steps, float* state, float* shared,
                        CrossPullWork& work) {
  const pm_cross_scan_params& p = in.p;
  PullTile& tile = work.tile;
  int s = 0;
  for (; s + 4 <= steps; s += 4) {
    prepare_pull_steps<T, kLimb, 4>(in, work.tables, v, s, work.packed, tile);
  }
  for (; s < steps; ++s) {
    prepare_pull_steps<T, kLimb, 1>(in, work.tables, v, s, work.packed, tile);
  }
  const int lane = v * kLanes;
  float* own = in.task.memory + in.plan.own + lane / kChunk * in.positions * kChunk + lane % kChunk;
  for (s = 0; s < steps; ++s) __builtin_prefetch(own + work.packed.at.token[s] * kChunk, 1);
  const float* B = work.packed.rows + p.dt_rank;
  float* dB = shared + p.dt_rank * kPullSteps * kLanes;
  const TileRows rows{tile.dt, tile.dt_u, B, B + p.d_state, in.row_stride, steps - 1, -1, steps};
  const PullRows pull{tile.dy, tile.through_input, tile.through_decay, dB,
                      dB + p.d_state * kPullSteps * kLanes};
  const int table = v * p.d_state * kLanes;
  pull_tile(rows, pull, p.d_state, work.tables.decay + table, state, work.sums.later + table,
            work.sums.dA + table, tile.trace);
  finish_tile(p, v, in.row_stride, steps, work, shared, own);
}

template <class T, bool kLimb>
static void pull_direction(const CrossPull<T>& in) {
  const pm_cross_scan_params& p = in.p;
  CrossPullWork work;
  CrossTile& packed = work.packed;
  load_tables(p, in.task.row, in.task.channel, in.task.vectors, work.tables);
  clear_tables(in.task.vectors, p.d_state, p.dt_rank, work.sums);
  float* states = in.task.memory + in.plan.states;
  float* shared = in.task.memory + in.plan.sums;
  keep_states<T, kLimb>(in, work.tables, packed, states);
  const int vector_states = p.d_state * kLanes;
  // Backwards through the tiles, and so through the walk: rows of a tile are last step first.
  pm_cross_scan_params turned = p;
  turned.reverse[in.task.row] = 1 - p.reverse[in.task.row];
  Walk walk(turned, in.task.row);
  packed.ahead = TilePositions{};
  next_tile(walk, p, in.task.row, pull_steps(in.positions, in.plan.tiles - 1), packed.ahead);
  for (int64_t i = in.plan.tiles - 1; i >= 0; --i) {
    const int steps = pull_steps(in.positions, i);
    packed.at = packed.ahead;
    if (i > 0) next_tile(walk, p, in.task.row, kPullSteps, packed.ahead);
    pack_rows<T, kLimb>(in.x_dbl, p.x_dbl_stride, in.width, in.row_stride, steps, packed);
    memset(shared, 0, static_cast<size_t>(in.width * kPullSteps * kLanes) * sizeof(float));
    for (int v = 0; v < in.task.vectors; ++v) {
      pull_vector<T, kLimb>(in, v, steps, states + (i * in.task.vectors + v) * vector_states,
                            shared, work);
    }
    sum_channels(shared, in.width, steps, in.task.memory + in.plan.shared, in.plan.shared_stride,
                 packed.at.token);
  }
  save_weights(work.sums, in.task.channels, p.d_state, p.dt_rank,
               weight_gradients(in.task.memory + in.plan.weights, in.plan.chunks_per_task * kChunk,
                                p.d_state, p.dt_rank));
}

template <class T>
static void cross_pull_typed(const CrossBackwardPlan& plan, const PullTask& task) {
  const pm_cross_scan_params& p = plan.params->forward;
  const int64_t positions = p.frames * p.joints;
  const int width = p.dt_rank + 2 * p.d_state;
  const CrossPull<T> in{
      p,
      plan.pull,
      task,
      positions,
      width,
      (width + kLanes - 1) / kLanes * kLanes,
      static_cast<const T*>(p.x) + task.item * positions * p.x_stride + task.channel,
      static_cast<const T*>(p.x_dbl) + task.item * positions * p.x_dbl_stride + task.row * width,
      static_cast<const T*>(plan.params->dy) + task.item * positions * plan.params->dy_stride +
          task.channel,
      plan.params->dy_stride};
  p.limb_mask[task.row] != 0 ? pull_direction<T, true>(in) : pull_direction<T, false>(in);
}

static void cross_pull_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const CrossBackwardPlan& plan = *static_cast<const CrossBackwardPlan*>(plan_pointer);
  const PullTask task = pull_task(plan.pull, index, plan.params->forward.d_inner);
  const auto pull =
      plan.params->forward.dtype == PM_FLOAT32 ? cross_pull_typed<float> : cross_pull_typed<Half>;
  pull(plan, task);
}

}  // namespace
}  // namespace posemamba
