// What one instruction set offers: functions that run one task of a launch. The launchers plan,
// the tasks compute; nothing here depends on how a task was compiled.
#pragma once

#include "posemamba/scan_backward_cpu.h"

namespace posemamba {

// Channels that tasks and accumulators are counted in: one cache line of float32, and a whole
// number of vectors on every instruction set.
constexpr int kChunk = 16;
// Steps of a tile of a gradient.
constexpr int kPullSteps = 16;
// Limits of a task's tables on its stack, in chunks of kChunk floats.
constexpr int kMaxStateChunks = 128;   // chunks a task * d_state
constexpr int kMaxWeightChunks = 256;  // chunks a task * dt_rank
constexpr int kMaxTaskChunks = 8;      // chunks a task
// What a table of states is large enough for: a task of one chunk has up to PM_MAX_WIDE_STATE.
constexpr int kStateRows =
    kMaxStateChunks > PM_MAX_WIDE_STATE ? kMaxStateChunks : PM_MAX_WIDE_STATE;

// Partial sums of y in float32, and how they become y. Batch items go in waves.
struct Merge {
  void* y;
  int64_t y_stride;
  int32_t d_inner;
  int32_t dtype;       // pm_dtype
  int64_t positions;   //
  int64_t first_item;  // batch items [first_item, first_item + items) are in this wave
  int64_t items;       //
  int64_t chunks;      // of kChunk channels, last one perhaps partial
  int64_t parts;       // partial sums a chunk
  int64_t tiles;       // tasks over positions
  float* sums;         // [items, chunks, parts, positions, kChunk]
};

struct CrossScanPlan {
  const pm_cross_scan_params* params;
  Merge merge;              // parts: 1, or `directions` when they run apart
  int64_t chunks_per_task;  //
  int64_t groups;           // ceil(chunks / chunks_per_task)
};

struct IndexedScanPlan {
  const pm_indexed_scan_params* params;
  Merge merge;  // parts: `directions`
};

struct ScanPlan {
  const pm_scan_params* params;
  const float* initial_state;  // as pm_stateful_scan_params; null: zero
  float* final_state;          // null: not wanted
  int64_t chunks;              // of a group
  int64_t chunks_per_task;     //
  int64_t tasks_per_group;     // ceil(chunks / chunks_per_task)
};

// The gradients' work: a task owns some chunks of channels of one direction (or group) of one batch
// item. Batch items go in waves; what tasks share is added up afterwards, in the order of the
// parts.
struct PullPlan {
  int64_t first_item;       // batch items [first_item, first_item + items) are in this wave
  int64_t items;            //
  int64_t rows;             // directions, or groups
  int64_t chunks;           // of kChunk channels a row, last one perhaps partial
  int64_t chunks_per_task;  //
  int64_t parts;            // ceil(chunks / chunks_per_task)
  int64_t tiles;            // of kPullSteps steps
  float* workspace;         // of the tasks [items, rows, parts], `task_floats` each, which hold:
  int64_t states;           // [tiles, chunks_per_task * kChunk * d_state] at each tile's start
  int64_t sums;             // [columns, kPullSteps, kLanes] sums over vectors of a tile
  int64_t shared;           // [steps, shared_stride] gradients that channels share
  int64_t own;              // [chunks_per_task, positions, kChunk] of x along one direction
  int64_t weights;          // dA, dW, bias, D; see WeightGradients
  int64_t task_floats;      //
  int64_t shared_stride;    //
  int64_t fold_tiles;       // tasks over frames, or steps, of what adds up
};

struct CrossBackwardPlan {
  const pm_cross_scan_backward_params* params;
  PullPlan pull;
};

struct ScanBackwardPlan {
  const pm_scan_backward_params* params;
  PullPlan pull;
};

struct IsaKernels {
  const char* name;
  // Tasks are independent of each other; arguments are a plan (a Merge) and a task's index.
  void (*cross_scan)(void* plan, int64_t index);    // [items, groups] or [items, chunks, parts]
  void (*indexed_scan)(void* plan, int64_t index);  // [items, chunks, directions]
  void (*merge)(void* merge, int64_t index);        // [items, chunks, tiles]
  void (*scan)(void* plan, int64_t index);          // [batch, groups, tasks_per_group]
  // Gradients. A pull is [items, rows, parts]; a fold writes what its tasks share.
  void (*cross_pull)(void* plan, int64_t index);
  void (*cross_fold_x)(void* plan, int64_t index);      // [items, chunks, fold_tiles]
  void (*cross_fold_x_dbl)(void* plan, int64_t index);  // [items, directions, fold_tiles]
  void (*scan_pull)(void* plan, int64_t index);
  void (*scan_fold)(void* plan, int64_t index);  // [items, groups, fold_tiles]
};

// Each is defined where the architecture has it; the caller checks that the machine does.
const IsaKernels* kernels_avx512();
const IsaKernels* kernels_avx2();
const IsaKernels* kernels_baseline();

// The instruction set in use (chosen once, or forced by pm_cpu_set_isa).
const IsaKernels& active_kernels();

}  // namespace posemamba
