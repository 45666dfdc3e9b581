// Gradient of SelectiveScan: one task pulls some channels of one group of one batch item; another
// adds up and turns what the channels of a group share.
#pragma once

#include "cpu/cross_fold_task.h"
#include "cpu/pull_task.h"
#include "cpu/scan_task.h"

namespace posemamba {
namespace {

// A tile of a group: its steps in memory, and how the group walks them.
struct ScanSpan {
  int64_t start;
  int steps;
  int first;
  int step;
};

// Tile `i` in the group's own order.
static inline ScanSpan scan_span(const pm_scan_params& p, int group, int64_t tiles, int64_t i) {
  const bool reverse = p.reverse[group] != 0;
  const int64_t start = (reverse ? tiles - 1 - i : i) * kPullSteps;
  const int64_t left = p.length - start;
  const int steps = left < kPullSteps ? static_cast<int>(left) : kPullSteps;
  return {start, steps, reverse ? steps - 1 : 0, reverse ? -1 : 1};
}

// What a task works with, beside its workspace.
struct ScanPullTables {
  alignas(64) float decay[kStateRows * kChunk];    // [vectors, d_state, kLanes] A log2(e)
  alignas(64) float state[kStateRows * kChunk];    // [vectors, d_state, kLanes]
  alignas(64) float B[kPullSteps * PM_MAX_STATE];  // [steps, state_stride]
  alignas(64) float C[kPullSteps * PM_MAX_STATE];
  alignas(64) float y[kPullSteps * kLanes];
  alignas(64) float z[kPullSteps * kLanes];
  PullTables sums;
  PullTile tile;
};

// One task's inputs, of type T.
template <class T>
struct ScanPull {
  const pm_scan_params& p;
  const pm_scan_backward_params& grad;
  const PullPlan& plan;
  const PullTask& task;
  int64_t at;       // element of the task's first channel, step 0
  int64_t channel;  // over all groups
  int64_t bc;       // element of the group's B and C

  int lanes(int v) const { return min_int(kLanes, task.channels - v * kLanes); }
  int64_t element(int v, const ScanSpan& span) const {
    return at + v * kLanes * p.length + span.start;
  }
};

template <class T>
static TileRows load_span(const ScanPull<T>& in, const ScanSpan& span, ScanPullTables& t) {
  const pm_scan_params& p = in.p;
  load_states(static_cast<const T*>(p.B) + in.bc + span.start, p.length, p.d_state, span.steps,
              t.B);
  load_states(static_cast<const T*>(p.C) + in.bc + span.start, p.length, p.d_state, span.steps,
              t.C);
  return {t.tile.dt,  t.tile.dt_u, t.B,       t.C, state_stride_of(p.d_state),
          span.first, span.step,   span.steps};
}

// u, dt, its slope and dt u of a vector of channels.
template <class T>
static void load_steps(const ScanPull<T>& in, const ScanSpan& span, int v, PullTile& tile) {
  const pm_scan_params& p = in.p;
  const int64_t at = in.element(v, span);
  const int lanes = in.lanes(v);
  load_transposed(static_cast<const T*>(p.u) + at, p.length, lanes, span.steps, tile.u, kLanes);
  load_transposed(static_cast<const T*>(p.delta) + at, p.length, lanes, span.steps, tile.dt,
                  kLanes);
  const vf bias =
      p.delta_bias != nullptr ? load(p.delta_bias + in.channel + v * kLanes, lanes) : vf{};
  for (int s = 0; s < span.steps; ++s) {
    const vf raw = load(tile.dt + s * kLanes) + bias;
    const vf dt = p.delta_softplus != 0 ? softplus(raw) : raw;
    store(tile.slope + s * kLanes, p.delta_softplus != 0 ? logistic(raw) : splat(1.0f));
    store(tile.dt + s * kLanes, dt);
    store(tile.dt_u + s * kLanes, dt * load(tile.u + s * kLanes));
  }
}

// dy of the scan itself, and dz, where its output is y * silu(z). `state` is the tile's first.
template <class T>
static void pull_gate(const ScanPull<T>& in, const ScanSpan& span, const TileRows& rows, int v,
                      const float* state, vf skip, ScanPullTables& t) {
  const pm_scan_params& p = in.p;
  const int states = p.d_state * kLanes;
  alignas(64) float h[PM_MAX_STATE * kLanes];
  memcpy(h, state, static_cast<size_t>(states) * sizeof(float));
  for (int s = 0; s < span.steps; ++s) {
    store(t.y + s * kLanes, skip * load(t.tile.u + s * kLanes));
  }
  scan_tile(rows, p.d_state, t.decay + v * states, h, t.y);
  load_transposed(static_cast<const T*>(p.z) + in.element(v, span), p.length, in.lanes(v),
                  span.steps, t.z, kLanes);
  for (int s = 0; s < span.steps; ++s) {
    const vf z = load(t.z + s * kLanes);
    const vf gate = logistic(z);
    const vf dy = load(t.tile.dy + s * kLanes);
    const vf slope = gate * fma(z, splat(1.0f) - gate, splat(1.0f));
    store(t.z + s * kLanes, dy * load(t.y + s * kLanes) * slope);
    store(t.tile.dy + s * kLanes, dy * z * gate);
  }
  store_transposed(t.z, span.steps, in.lanes(v), static_cast<T*>(in.grad.dz) + in.element(v, span),
                   p.length);
}

template <class T>
static void pull_channels(const ScanPull<T>& in, const ScanSpan& span, const TileRows& rows, int v,
                          float* state, float* shared, ScanPullTables& t) {
  const pm_scan_params& p = in.p;
  const int table = v * p.d_state * kLanes;
  const vf skip = p.D != nullptr ? load(p.D + in.channel + v * kLanes, in.lanes(v)) : vf{};
  load_steps(in, span, v, t.tile);
  load_transposed(static_cast<const T*>(in.grad.dy) + in.element(v, span), p.length, in.lanes(v),
                  span.steps, t.tile.dy, kLanes);
  if (p.z != nullptr) pull_gate(in, span, rows, v, state, skip, t);
  for (int s = 0; s < span.steps; ++s) {
    store(t.tile.through_input + s * kLanes, vf{});
    store(t.tile.through_decay + s * kLanes, vf{});
  }
  const PullRows pull{t.tile.dy, t.tile.through_input, t.tile.through_decay, shared,
                      shared + p.d_state * kPullSteps * kLanes};
  pull_tile(rows, pull, p.d_state, t.decay + table, state, t.sums.later + table, t.sums.dA + table,
            t.tile.trace);
  finish_steps(t.tile, span.steps, skip, v, t.sums);
  const int64_t at = in.element(v, span);
  store_transposed(t.tile.through_input, span.steps, in.lanes(v), static_cast<T*>(in.grad.du) + at,
                   p.length);
  store_transposed(t.tile.through_decay, span.steps, in.lanes(v),
                   static_cast<T*>(in.grad.ddelta) + at, p.length);
}

template <class T>
static void pull_group(const ScanPull<T>& in) {
  const pm_scan_params& p = in.p;
  const int vectors = in.task.vectors;
  ScanPullTables t;
  clear_tables(vectors, p.d_state, 0, t.sums);
  for (int v = 0; v < vectors; ++v) {
    float* decay = t.decay + v * p.d_state * kLanes;
    load_transposed(p.A + (in.channel + v * kLanes) * p.d_state, p.d_state, in.lanes(v), p.d_state,
                    decay, kLanes);
    for (int n = 0; n < p.d_state; ++n) {
      store(decay + n * kLanes, load(decay + n * kLanes) * splat(kLog2e));
      store(t.state + (v * p.d_state + n) * kLanes, vf{});
    }
  }
  float* states = in.task.memory + in.plan.states;
  const int count = vectors * p.d_state * kLanes;
  for (int64_t i = 0; i < in.plan.tiles; ++i) {
    memcpy(states + i * count, t.state, static_cast<size_t>(count) * sizeof(float));
    if (i + 1 == in.plan.tiles) break;
    const ScanSpan span = scan_span(p, in.task.row, in.plan.tiles, i);
    const TileRows rows = load_span(in, span, t);
    for (int v = 0; v < vectors; ++v) {
      load_steps(in, span, v, t.tile);
      const int table = v * p.d_state * kLanes;
      advance_tile(rows, p.d_state, t.decay + table, t.state + table);
    }
  }
  float* shared = in.task.memory + in.plan.sums;  // [2 * d_state, kPullSteps, kLanes]: B, C
  for (int64_t i = in.plan.tiles - 1; i >= 0; --i) {
    const ScanSpan span = scan_span(p, in.task.row, in.plan.tiles, i);
    const TileRows rows = load_span(in, span, t);
    memset(shared, 0, static_cast<size_t>(2 * p.d_state * kPullSteps * kLanes) * sizeof(float));
    for (int v = 0; v < vectors; ++v) {
      pull_channels(in, span, rows, v, states + i * count + v * p.d_state * kLanes, shared, t);
    }
    sum_channels(shared, 2 * p.d_state, span.steps,
                 in.task.memory + in.plan.shared + span.start * in.plan.shared_stride,
                 in.plan.shared_stride, nullptr);
  }
  save_weights(t.sums, in.task.channels, p.d_state, 0,
               weight_gradients(in.task.memory + in.plan.weights, in.plan.chunks_per_task * kChunk,
                                p.d_state, 0));
}

template <class T>
static void scan_pull_typed(const ScanBackwardPlan& plan, const PullTask& task) {
  const pm_scan_params& p = plan.params->forward;
  const int64_t channel = int64_t{task.row} * p.channels + task.channel;
  pull_group(ScanPull<T>{p, *plan.params, plan.pull, task,
                         (task.item * p.groups * p.channels + channel) * p.length, channel,
                         (task.item * p.groups + task.row) * p.d_state * p.length});
}

static void scan_pull_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const ScanBackwardPlan& plan = *static_cast<const ScanBackwardPlan*>(plan_pointer);
  const PullTask task = pull_task(plan.pull, index, plan.params->forward.channels);
  const auto pull =
      plan.params->forward.dtype == PM_FLOAT32 ? scan_pull_typed<float> : scan_pull_typed<Half>;
  pull(plan, task);
}

// dB and dC of some steps: [steps, shared_stride] of every part to [d_state, length].
template <class T>
static void fold_states(const ScanBackwardPlan& plan, const FoldTask& task) {
  const pm_scan_params& p = plan.params->forward;
  const PullPlan& pull = plan.pull;
  const float* parts = pull.workspace + pull.shared +
                       (task.item * pull.rows + task.group) * pull.parts * pull.task_floats;
  const int64_t out =
      ((pull.first_item + task.item) * p.groups + task.group) * p.d_state * p.length;
  alignas(64) float sums[kLanes * kLanes];  // [steps, states]
  for (int64_t start = task.begin; start < task.end; start += kLanes) {
    const int steps =
        static_cast<int>(task.end - start < kLanes ? task.end - start : int64_t{kLanes});
    for (int which = 0; which < 2; ++which) {
      T* to = static_cast<T*>(which == 0 ? plan.params->dB : plan.params->dC) + out + start;
      for (int n = 0; n < p.d_state; n += kLanes) {
        const int states = min_int(kLanes, p.d_state - n);
        for (int s = 0; s < steps; ++s) {
          const float* from = parts + (start + s) * pull.shared_stride + which * p.d_state + n;
          vf sum = load(from, states);
          for (int64_t i = 1; i < pull.parts; ++i) sum += load(from + i * pull.task_floats, states);
          store(sums + s * kLanes, sum);
        }
        store_transposed(sums, steps, states, to + n * p.length, p.length);
      }
    }
  }
}

static void scan_fold_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const ScanBackwardPlan& plan = *static_cast<const ScanBackwardPlan*>(plan_pointer);
  const pm_scan_params& p = plan.params->forward;
  const FoldTask task = fold_task(plan.pull, index, plan.pull.rows, p.length);
  p.dtype == PM_FLOAT32 ? fold_states<float>(plan, task) : fold_states<Half>(plan, task);
}

}  // namespace
}  // namespace posemamba
