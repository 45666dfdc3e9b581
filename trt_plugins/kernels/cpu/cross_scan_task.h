// CrossSelectiveScan, one task: some channel chunks of one batch item over one or all directions.
#pragma once

#include "cpu/direction_tables.h"
#include "cpu/scan_tile.h"
#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

// The positions of a direction, step by step. Position and joint are both linear in the outer and
// inner counter of the walk, so no step divides.
class Walk {
 public:
  Walk(const pm_cross_scan_params& p, int k) {
    const bool by_joint = p.order[k] == PM_JOINT_MAJOR || p.order[k] == PM_JOINT_MAJOR_FLIPPED;
    const bool flipped =
        p.order[k] == PM_FRAME_MAJOR_FLIPPED || p.order[k] == PM_JOINT_MAJOR_FLIPPED;
    const int64_t outer_size = by_joint ? p.joints : p.frames;
    inner_size_ = by_joint ? p.frames : p.joints;
    outer_ = by_joint ? Step{1, 1} : Step{p.joints, 0};
    inner_ = by_joint ? Step{p.joints, 0} : Step{1, 1};
    if (flipped) turn_round(inner_, inner_size_);
    if (p.reverse[k] != 0) {
      turn_round(inner_, inner_size_);
      turn_round(outer_, outer_size);
    }
    row_start_ = at_;
  }

  int64_t position() const { return at_.position; }
  int64_t joint() const { return at_.joint; }

  void next() {
    if (++count_ < inner_size_) {
      at_.position += inner_.position;
      at_.joint += inner_.joint;
      return;
    }
    count_ = 0;
    row_start_.position += outer_.position;
    row_start_.joint += outer_.joint;
    at_ = row_start_;
  }

 private:
  struct Step {
    int64_t position;
    int64_t joint;
  };

  // Start at the other end of one of the two counters.
  void turn_round(Step& step, int64_t size) {
    at_.position += (size - 1) * step.position;
    at_.joint += (size - 1) * step.joint;
    step = Step{-step.position, -step.joint};
  }

  Step outer_{};
  Step inner_{};
  Step at_{0, 0};
  Step row_start_{};
  int64_t inner_size_ = 0;
  int64_t count_ = 0;
};

struct TilePositions {
  int64_t token[kTileSteps];  // position of a step
  int64_t limb[kTileSteps];   // position of its limb neighbour
};

static inline int tile_steps(int64_t positions, int64_t start) {
  const int64_t left = positions - start;
  return left < 0 ? 0 : left < kTileSteps ? static_cast<int>(left) : kTileSteps;
}

static inline void next_tile(Walk& walk, const pm_cross_scan_params& p, int k, int steps,
                             TilePositions& tile) {
  for (int s = 0; s < steps; ++s, walk.next()) {
    tile.token[s] = walk.position();
    if (p.limb_mask[k] != 0) {
      tile.limb[s] = walk.position() + p.limb_index[walk.joint()] - walk.joint();
    }
  }
}

constexpr int kMaxRow = PM_MAX_DT_RANK + 2 * PM_MAX_STATE;

struct CrossTile {
  TilePositions at;
  TilePositions ahead;  // the next tile's, for prefetching: its rows are too far apart to guess
  alignas(64) float rows[kTileSteps * kMaxRow];  // [steps, row_stride]: dt, B, C in scan order
  alignas(64) float dt[kTileSteps * kLanes];
  alignas(64) float dt_u[kTileSteps * kLanes];
  alignas(64) float y[kTileSteps * kLanes];
};

// Part of a step's row in float32, its limb neighbour's added.
template <class T, bool kLimb>
PM_INLINE vf gather(const T* from, int64_t stride, const TilePositions& at, int s, int count) {
  vf row = load(from + at.token[s] * stride, count);
  if (kLimb) row += load(from + at.limb[s] * stride, count);
  return row;
}

template <class T, bool kLimb>
static void pack_rows(const T* x_dbl, int64_t stride, int width, int row_stride, int steps,
                      CrossTile& tile) {
  for (int s = 0; s < steps; ++s) {
    for (int i = 0; i < width; i += kLanes) {
      __builtin_prefetch(x_dbl + tile.ahead.token[s] * stride + i);
      store(tile.rows + s * row_stride + i,
            gather<T, kLimb>(x_dbl + i, stride, tile.at, s, width - i));
    }
  }
}

// W dt_raw for kSteps rows side by side, before the bias.
template <int kSteps>
PM_INLINE void project_steps(const float* raw, int row_stride, const float* weight, int dt_rank,
                             vf (&dt)[kSteps]) {
  PM_UNROLL
  for (int i = 0; i < kSteps; ++i) dt[i] = vf{};
  for (int r = 0; r < dt_rank; ++r) {
    const vf w = load(weight + r * kLanes);
    PM_UNROLL
    for (int i = 0; i < kSteps; ++i) dt[i] = fma(w, splat(raw[i * row_stride + r]), dt[i]);
  }
}

// dt = softplus(W dt_raw + bias), dt u, and D u as the start of y, for kSteps steps side by side.
template <class T, bool kLimb, int kSteps>
PM_INLINE void prepare_steps(const T* x, int64_t stride, int lanes, const float* weight, vf bias,
                             vf skip, int dt_rank, int row_stride, int s, CrossTile& tile) {
  vf dt[kSteps];
  project_steps(tile.rows + s * row_stride, row_stride, weight, dt_rank, dt);
  PM_UNROLL
  for (int i = 0; i < kSteps; ++i) {
    const vf u = gather<T, kLimb>(x, stride, tile.at, s + i, lanes);
    __builtin_prefetch(x + tile.ahead.token[s + i] * stride);
    dt[i] = softplus(dt[i] + bias);  // the bias last: it is large, the sum small
    store(tile.dt + (s + i) * kLanes, dt[i]);
    store(tile.dt_u + (s + i) * kLanes, dt[i] * u);
    store(tile.y + (s + i) * kLanes, skip * u);
  }
}

template <class T, bool kLimb>
static __attribute__((noinline)) void prepare_tile(const T* x, int64_t stride, int lanes,
                                                   const float* weight, const float* bias,
                                                   const float* skip, int dt_rank, int row_stride,
                                                   int steps, CrossTile& tile) {
  constexpr int kSide = 4;
  int s = 0;
  for (; s + kSide <= steps; s += kSide) {
    prepare_steps<T, kLimb, kSide>(x, stride, lanes, weight, load(bias), load(skip), dt_rank,
                                   row_stride, s, tile);
  }
  for (; s < steps; ++s) {
    prepare_steps<T, kLimb, 1>(x, stride, lanes, weight, load(bias), load(skip), dt_rank,
                               row_stride, s, tile);
  }
}

// Adds a tile of y to the running sum over directions (the first one starts it).
static inline void add_tile(const CrossTile& tile, int steps, bool first, float* sums) {
  for (int s = 0; s < steps; ++s) {
    float* to = sums + tile.at.token[s] * kChunk;
    const vf y = load(tile.y + s * kLanes);
    store(to, first ? y : load(to) + y);
  }
}

// One direction over all positions for the channels [channel, channel + vectors * kLanes).
// sums: [chunks, parts, positions, kChunk] from the task's first chunk on, `sums_stride` a chunk.
template <class T, bool kLimb>
static void scan_direction(const pm_cross_scan_params& p, int64_t positions, int64_t item, int k,
                           int64_t channel, int vectors, bool first, float* sums,
                           int64_t sums_stride) {
  DirectionTables tables;
  CrossTile tile;
  load_tables(p, k, channel, vectors, tables);
  const int width = p.dt_rank + 2 * p.d_state;
  const int row_stride = (width + kLanes - 1) / kLanes * kLanes;
  const T* x = static_cast<const T*>(p.x) + item * positions * p.x_stride + channel;
  const T* x_dbl = static_cast<const T*>(p.x_dbl) + item * positions * p.x_dbl_stride + k * width;
  Walk walk(p, k);
  tile.ahead = TilePositions{};
  next_tile(walk, p, k, tile_steps(positions, 0), tile.ahead);
  for (int64_t start = 0; start < positions; start += kTileSteps) {
    const int steps = tile_steps(positions, start);
    tile.at = tile.ahead;
    next_tile(walk, p, k, tile_steps(positions, start + kTileSteps), tile.ahead);
    pack_rows<T, kLimb>(x_dbl, p.x_dbl_stride, width, row_stride, steps, tile);
    const float* B = tile.rows + p.dt_rank;
    const TileRows rows{tile.dt, tile.dt_u, B, B + p.d_state, row_stride, 0, 1, steps};
    for (int v = 0; v < vectors; ++v) {
      const int64_t left = p.d_inner - channel - v * kLanes;
      const int lanes = static_cast<int>(left < kLanes ? left : int64_t{kLanes});
      prepare_tile<T, kLimb>(x + v * kLanes, p.x_stride, lanes,
                             tables.dt_weight + v * p.dt_rank * kLanes, tables.dt_bias + v * kLanes,
                             tables.skip + v * kLanes, p.dt_rank, row_stride, steps, tile);
      const int lane = v * kLanes;
      float* lane_sums = sums + lane / kChunk * sums_stride + lane % kChunk;
      for (int s = 0; s < steps; ++s) __builtin_prefetch(lane_sums + tile.at.token[s] * kChunk, 1);
      const int table = v * p.d_state * kLanes;
      scan_tile(rows, p.d_state, tables.decay + table, tables.state + table, tile.y);
      add_tile(tile, steps, first, lane_sums);
    }
  }
}

static void cross_scan_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const CrossScanPlan& plan = *static_cast<const CrossScanPlan*>(plan_pointer);
  const pm_cross_scan_params& p = *plan.params;
  const Merge& m = plan.merge;
  const int64_t part = index % m.parts;
  const int64_t group = index / m.parts % plan.groups;
  const int64_t item = index / m.parts / plan.groups;
  const int64_t chunk = group * plan.chunks_per_task;
  const int64_t channel = chunk * kChunk;
  const int64_t channels = plan.chunks_per_task * kChunk < p.d_inner - channel
                               ? plan.chunks_per_task * kChunk
                               : p.d_inner - channel;
  const int vectors = static_cast<int>((channels + kLanes - 1) / kLanes);
  const int64_t sums_stride = m.parts * m.positions * kChunk;
  float* sums = m.sums + (item * m.chunks + chunk) * sums_stride + part * m.positions * kChunk;
  const bool together = m.parts == 1;
  for (int k = together ? 0 : static_cast<int>(part); k < p.directions; ++k) {
    const auto scan =
        p.dtype == PM_FLOAT32
            ? (p.limb_mask[k] != 0 ? scan_direction<float, true> : scan_direction<float, false>)
            : (p.limb_mask[k] != 0 ? scan_direction<Half, true> : scan_direction<Half, false>);
    scan(p, m.positions, m.first_item + item, k, channel, vectors, k == 0 || !together, sums,
         sums_stride);
    if (!together) break;
  }
}

}  // namespace
}  // namespace posemamba
