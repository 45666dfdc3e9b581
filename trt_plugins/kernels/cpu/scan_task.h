// SelectiveScan, one task: some channel chunks of one group of one batch item.
#pragma once

#include "cpu/scan_tile.h"
#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

struct ScanTile {
  alignas(64) float B[kTileSteps * PM_MAX_WIDE_STATE];  // [steps, state_stride]
  alignas(64) float C[kTileSteps * PM_MAX_WIDE_STATE];
  alignas(64) float u[kTileSteps * kLanes];  // [steps, kLanes]; then silu(z)
  alignas(64) float dt[kTileSteps * kLanes];
  alignas(64) float dt_u[kTileSteps * kLanes];
  alignas(64) float y[kTileSteps * kLanes];
};

struct ScanTables {
  alignas(64) float decay[kStateRows * kChunk];  // [vectors, d_state, kLanes] A log2(e)
  alignas(64) float state[kStateRows * kChunk];  // [vectors, d_state, kLanes]
};

// Floats between the steps of B and C in a tile: whole vectors, and no fewer than version 1 had.
static inline int state_stride_of(int d_state) {
  return d_state <= PM_MAX_STATE ? PM_MAX_STATE : (d_state + kLanes - 1) / kLanes * kLanes;
}

// B or C of a tile: [d_state, length] from memory, [steps, state_stride] in the tile.
template <class T>
static void load_states(const T* from, int64_t length, int d_state, int steps, float* to) {
  const int stride = state_stride_of(d_state);
  for (int n = 0; n < d_state; n += kLanes) {
    load_transposed(from + n * length, length, d_state - n, steps, to + n, stride);
  }
}

// One vector of channels over one tile; `at` is the element of its first channel and step.
template <class T>
static void scan_channels(const pm_scan_params& p, int64_t at, int64_t channel, int lanes,
                          const TileRows& rows, const float* decay, float* h, ScanTile& tile) {
  const vf bias = p.delta_bias != nullptr ? load(p.delta_bias + channel, lanes) : vf{};
  const vf skip = p.D != nullptr ? load(p.D + channel, lanes) : vf{};
  load_transposed(static_cast<const T*>(p.u) + at, p.length, lanes, rows.steps, tile.u, kLanes);
  load_transposed(static_cast<const T*>(p.delta) + at, p.length, lanes, rows.steps, tile.dt,
                  kLanes);
  for (int s = 0; s < rows.steps; ++s) {
    const vf u = load(tile.u + s * kLanes);
    vf dt = load(tile.dt + s * kLanes) + bias;
    if (p.delta_softplus != 0) dt = softplus(dt);
    store(tile.dt + s * kLanes, dt);
    store(tile.dt_u + s * kLanes, dt * u);
    store(tile.y + s * kLanes, skip * u);
  }
  scan_tile(rows, p.d_state, decay, h, tile.y);
  if (p.z != nullptr) {
    float* z = tile.u;
    load_transposed(static_cast<const T*>(p.z) + at, p.length, lanes, rows.steps, z, kLanes);
    for (int s = 0; s < rows.steps; ++s) {
      store(tile.y + s * kLanes, load(tile.y + s * kLanes) * silu(load(z + s * kLanes)));
    }
  }
  store_transposed(tile.y, rows.steps, lanes, static_cast<T*>(p.y) + at, p.length);
}

// to[c * d_state + n] = state[n * kLanes + c], bit by bit.
static inline void save_state(const float* state, int d_state, int channels, float* to) {
  for (int c = 0; c < channels; ++c) {
    for (int n = 0; n < d_state; ++n) to[c * d_state + n] = state[n * kLanes + c];
  }
}

// Channels [first, first + channels) of a group, over the whole length.
template <class T>
static void scan_group(const ScanPlan& plan, int64_t item, int group, int64_t first, int channels) {
  const pm_scan_params& p = *plan.params;
  ScanTables tables;
  ScanTile tile;
  const int64_t channel = int64_t{group} * p.channels + first;
  const int64_t states = (item * p.groups * p.channels + channel) * p.d_state;  // of the item
  const int vectors = (channels + kLanes - 1) / kLanes;
  for (int v = 0; v < vectors; ++v) {
    float* decay = tables.decay + v * p.d_state * kLanes;
    load_transposed(p.A + (channel + v * kLanes) * p.d_state, p.d_state, channels - v * kLanes,
                    p.d_state, decay, kLanes);
    for (int n = 0; n < p.d_state; ++n) {
      store(decay + n * kLanes, load(decay + n * kLanes) * splat(kLog2e));
      store(tables.state + (v * p.d_state + n) * kLanes, vf{});
    }
    if (plan.initial_state != nullptr) {
      load_transposed(plan.initial_state + states + int64_t{v} * kLanes * p.d_state, p.d_state,
                      channels - v * kLanes, p.d_state, tables.state + v * p.d_state * kLanes,
                      kLanes);
    }
  }
  const int64_t bc = (item * p.groups + group) * p.d_state * p.length;
  const int64_t activations = (item * p.groups * p.channels + channel) * p.length;
  const int64_t tiles = (p.length + kTileSteps - 1) / kTileSteps;
  const bool reverse = p.reverse[group] != 0;
  const int stride = state_stride_of(p.d_state);
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t start = (reverse ? tiles - 1 - i : i) * kTileSteps;
    const int steps =
        static_cast<int>(p.length - start < kTileSteps ? p.length - start : int64_t{kTileSteps});
    load_states(static_cast<const T*>(p.B) + bc + start, p.length, p.d_state, steps, tile.B);
    load_states(static_cast<const T*>(p.C) + bc + start, p.length, p.d_state, steps, tile.C);
    const TileRows rows{tile.dt,          tile.dt_u, tile.B,
                        tile.C,           stride,    reverse ? steps - 1 : 0,
                        reverse ? -1 : 1, steps};
    for (int v = 0; v < vectors; ++v) {
      const int64_t c = v * kLanes;
      const int table = v * p.d_state * kLanes;
      scan_channels<T>(p, activations + c * p.length + start, channel + c,
                       min_int(kLanes, channels - v * kLanes), rows, tables.decay + table,
                       tables.state + table, tile);
    }
  }
  for (int v = 0; v < vectors && plan.final_state != nullptr; ++v) {
    save_state(tables.state + v * p.d_state * kLanes, p.d_state,
               min_int(kLanes, channels - v * kLanes),
               plan.final_state + states + int64_t{v} * kLanes * p.d_state);
  }
}

static void scan_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const ScanPlan& plan = *static_cast<const ScanPlan*>(plan_pointer);
  const pm_scan_params& p = *plan.params;
  const int64_t part = index % plan.tasks_per_group;
  const int64_t row = index / plan.tasks_per_group;
  const int64_t first = part * plan.chunks_per_task * kChunk;
  const int64_t left = p.channels - first;
  const int64_t most = plan.chunks_per_task * kChunk;
  const auto scan = p.dtype == PM_FLOAT32 ? scan_group<float> : scan_group<Half>;
  scan(plan, row / p.groups, static_cast<int>(row % p.groups), first,
       static_cast<int>(left < most ? left : most));
}

}  // namespace
}  // namespace posemamba
