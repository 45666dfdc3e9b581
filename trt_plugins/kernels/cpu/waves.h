// Scans that add into partial sums, and the merges that write y from them, wave by wave.
#pragma once

#include "cpu/parallel.h"
#include "cpu/tasks.h"

namespace posemamba {

constexpr int64_t kMergeRows = 1024;

// A merge but for its wave and parts.
template <class Params>
Merge merge_of(const Params& p, int64_t positions) {
  Merge merge{};
  merge.y = p.y;
  merge.y_stride = p.y_stride;
  merge.d_inner = p.d_inner;
  merge.dtype = p.dtype;
  merge.positions = positions;
  merge.chunks = divide_up(p.d_inner, kChunk);
  merge.tiles = divide_up(positions, kMergeRows);
  return merge;
}

inline size_t sums_bytes(const Merge& merge) {
  return static_cast<size_t>(merge.items * merge.chunks * merge.parts * merge.positions * kChunk) *
         sizeof(float);
}

// `scan` runs tasks_per_item tasks of each batch item, with `plan`, which holds `merge`.
inline void run_waves(const pm_parallel* parallel, int64_t batch, float* sums,
                      void (*scan)(void*, int64_t), void* plan, Merge* merge,
                      int64_t tasks_per_item) {
  merge->sums = sums;
  const int64_t wave = merge->items;
  for (; merge->first_item < batch; merge->first_item += wave) {
    merge->items = smaller(wave, batch - merge->first_item);
    run_tasks(parallel, merge->items * tasks_per_item, scan, plan);
    run_tasks(parallel, merge->items * merge->chunks * merge->tiles, active_kernels().merge, merge);
  }
}

}  // namespace posemamba
