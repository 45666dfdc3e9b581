// CrossSelectiveScan, version 2, one task: a chunk of channels of one direction and batch item.
#pragma once

#include "cpu/direction_tables.h"
#include "cpu/scan_tile.h"
#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

constexpr int kMaxWideRow = PM_MAX_DT_RANK + 2 * PM_MAX_WIDE_STATE;

struct IndexedTile {
  alignas(64) float rows[kTileSteps * kMaxWideRow];  // [steps, row_stride]: dt, B, C
  alignas(64) float dt[kTileSteps * kLanes];
  alignas(64) float dt_u[kTileSteps * kLanes];
  alignas(64) float y[kTileSteps * kLanes];
};

// What a task of a direction works on.
template <class T>
struct IndexedDirection {
  const T* x;               // of the batch item, from the task's first channel on
  const T* x_dbl;           // of the batch item and direction
  const int32_t* position;  // [steps]
  const int32_t* limb;      // [steps], or null
  int64_t reset;            // 0: never
  int channels;             // of the chunk, at most kChunk
  int row_width;            // dt_rank + 2 d_state
  int row_stride;
};

// A step's row in float32, its neighbour's added; zero for an idle step.
template <class T>
PM_INLINE vf gather_step(const T* from, int64_t stride, int32_t position, int32_t limb, int count) {
  if (position < 0) return vf{};
  const vf row = load(from + position * stride, count);
  return limb < 0 ? row : row + load(from + limb * stride, count);
}

// Steps from `start` on that no reset parts, at most a tile.
static inline int run_of(int64_t steps, int64_t reset, int64_t start) {
  int64_t end = start + kTileSteps < steps ? start + kTileSteps : steps;
  if (reset > 0) {
    const int64_t next = (start / reset + 1) * reset;
    if (next < end) end = next;
  }
  return static_cast<int>(end - start);
}

// dt = softplus(W dt_raw + bias), dt u, and D u as the start of y. An idle step's dt is 0, which
// leaves the state as it is.
template <class T>
static void prepare_indexed(const pm_indexed_scan_params& p, const IndexedDirection<T>& d,
                            const DirectionTables& t, int v, int64_t start, int steps,
                            IndexedTile& tile) {
  const float* weight = t.dt_weight + v * p.dt_rank * kLanes;
  const vf bias = load(t.dt_bias + v * kLanes), skip = load(t.skip + v * kLanes);
  for (int s = 0; s < steps; ++s) {
    const int32_t position = d.position[start + s];
    const int32_t limb = d.limb == nullptr ? -1 : d.limb[start + s];
    vf dt{};
    if (position >= 0) {
      const float* raw = tile.rows + s * d.row_stride;
      for (int r = 0; r < p.dt_rank; ++r) dt = fma(load(weight + r * kLanes), splat(raw[r]), dt);
      dt = softplus(dt + bias);  // the bias last: it is large, the sum small
    }
    const vf u = gather_step(d.x + v * kLanes, p.x_stride, position, limb, d.channels - v * kLanes);
    store(tile.dt + s * kLanes, dt);
    store(tile.dt_u + s * kLanes, dt * u);
    store(tile.y + s * kLanes, skip * u);
  }
}

// sums [positions, kChunk] of this direction alone; positions may repeat.
template <class T>
static void scan_indexed(const pm_indexed_scan_params& p, const IndexedDirection<T>& d, int k,
                         int64_t channel, float* sums) {
  DirectionTables tables;
  IndexedTile tile;
  const int vectors = (d.channels + kLanes - 1) / kLanes;
  load_tables(p, k, channel, vectors, tables);
  const TileRows all{
      tile.dt, tile.dt_u, tile.rows + p.dt_rank, tile.rows + p.dt_rank + p.d_state, d.row_stride, 0,
      1,       0};
  int steps = 0;
  for (int64_t start = 0; start < p.steps; start += steps) {
    steps = run_of(p.steps, d.reset, start);
    for (int s = 0; s < steps; ++s) {
      const int32_t limb = d.limb == nullptr ? -1 : d.limb[start + s];
      for (int i = 0; i < d.row_width; i += kLanes) {
        store(
            tile.rows + s * d.row_stride + i,
            gather_step(d.x_dbl + i, p.x_dbl_stride, d.position[start + s], limb, d.row_width - i));
      }
    }
    TileRows rows = all;
    rows.steps = steps;
    for (int v = 0; v < vectors; ++v) {
      float* state = tables.state + v * p.d_state * kLanes;
      if (d.reset > 0 && start % d.reset == 0) {
        for (int n = 0; n < p.d_state; ++n) store(state + n * kLanes, vf{});
      }
      prepare_indexed(p, d, tables, v, start, steps, tile);
      scan_tile(rows, p.d_state, tables.decay + v * p.d_state * kLanes, state, tile.y);
      for (int s = 0; s < steps; ++s) {
        const int32_t position = d.position[start + s];
        if (position < 0) continue;
        float* to = sums + int64_t{position} * kChunk + v * kLanes;
        store(to, load(to) + load(tile.y + s * kLanes));
      }
    }
  }
}

template <class T>
static void indexed_scan_chunk(const IndexedScanPlan& plan, int64_t item, int64_t chunk, int k) {
  const pm_indexed_scan_params& p = *plan.params;
  const Merge& m = plan.merge;
  float* sums = m.sums + ((item * m.chunks + chunk) * m.parts + k) * m.positions * kChunk;
  memset(sums, 0, static_cast<size_t>(m.positions * kChunk) * sizeof(float));
  const int64_t channel = chunk * kChunk, left = p.d_inner - channel;
  const int64_t first = (m.first_item + item) * m.positions;  // row of the batch item
  IndexedDirection<T> d;
  d.row_width = p.dt_rank + 2 * p.d_state;
  d.row_stride = (d.row_width + kLanes - 1) / kLanes * kLanes;
  d.x = static_cast<const T*>(p.x) + first * p.x_stride + channel;
  d.x_dbl = static_cast<const T*>(p.x_dbl) + first * p.x_dbl_stride + k * d.row_width;
  d.position = p.scan_index + k * p.steps;
  d.limb = p.neighbour_index == nullptr ? nullptr : p.neighbour_index + k * p.steps;
  d.reset = p.reset_length == nullptr ? 0 : p.reset_length[k];
  d.channels = static_cast<int>(left < kChunk ? left : int64_t{kChunk});
  scan_indexed(p, d, k, channel, sums);
}

static void indexed_scan_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const auto& plan = *static_cast<const IndexedScanPlan*>(plan_pointer);
  const int64_t directions = plan.merge.parts, row = index / directions;
  const auto scan =
      plan.params->dtype == PM_FLOAT32 ? indexed_scan_chunk<float> : indexed_scan_chunk<Half>;
  scan(plan, row / plan.merge.chunks, row % plan.merge.chunks,
       static_cast<int>(index % directions));
}

}  // namespace
}  // namespace posemamba
