// Gradients of x and x_dbl from those along the directions: parts are added in order, and what a
// direction read through the limb sum goes to the limb neighbours too.
#pragma once

#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

// Up to kChunk columns of a batch item.
template <class T>
struct Fold {
  const float* parts;  // [parts, positions, part_row]
  int64_t part_stride;
  int64_t part_row;
  int64_t count;
  const int32_t* limb_mask;  // of part i: limb_mask[i * mask_step]
  int mask_step;
  T* out;           // [positions, out_row]
  T* limb_out;      // as out: the neighbours' share apart; null: added to out
  bool drop_limbs;  // the neighbours' share goes nowhere
  int64_t out_row;
  int columns;
};

template <class T>
static void fold_frames(const pm_cross_scan_params& p, const Fold<T>& f, int64_t begin,
                        int64_t end) {
  alignas(64) float own[PM_MAX_JOINTS * kChunk];
  alignas(64) float read[PM_MAX_JOINTS * kChunk];  // through a limb sum
  alignas(64) float limb[PM_MAX_JOINTS * kChunk];  // by limb neighbour
  bool any = false;
  for (int64_t i = 0; i < f.count; ++i) any = any || f.limb_mask[i * f.mask_step] != 0;
  const bool scatter = any && !f.drop_limbs;
  for (int64_t frame = begin; frame < end; ++frame) {
    const int64_t first = frame * p.joints;
    memset(limb, 0, static_cast<size_t>(p.joints * kChunk) * sizeof(float));
    for (int j = 0; j < p.joints; ++j) {
      const float* from = f.parts + (first + j) * f.part_row;
      for (int c = 0; c < f.columns; c += kLanes) {
        vf sum = load(from + c);
        vf masked = f.limb_mask[0] != 0 ? sum : vf{};
        for (int64_t i = 1; i < f.count; ++i) {
          const vf part = load(from + i * f.part_stride + c);
          sum += part;
          if (f.limb_mask[i * f.mask_step] != 0) masked += part;
        }
        store(own + j * kChunk + c, sum);
        store(read + j * kChunk + c, masked);
      }
    }
    for (int j = 0; scatter && j < p.joints; ++j) {
      float* to = limb + p.limb_index[j] * kChunk;
      for (int c = 0; c < f.columns; c += kLanes) {
        store(to + c, load(to + c) + load(read + j * kChunk + c));
      }
    }
    for (int j = 0; j < p.joints; ++j) {
      for (int c = 0; c < f.columns; c += kLanes) {
        const int64_t at = (first + j) * f.out_row + c;
        const vf neighbours = load(limb + j * kChunk + c);
        const vf sum = load(own + j * kChunk + c);
        store(f.out + at, f.limb_out == nullptr ? sum + neighbours : sum, f.columns - c);
        if (f.limb_out != nullptr) store(f.limb_out + at, neighbours, f.columns - c);
      }
    }
  }
}

struct FoldTask {
  int64_t item;   // of the wave
  int64_t group;  // chunk or direction
  int64_t begin;  // frames or steps
  int64_t end;
};

static inline FoldTask fold_task(const PullPlan& plan, int64_t index, int64_t groups,
                                 int64_t length) {
  const int64_t tile = index % plan.fold_tiles;
  const int64_t size = (length + plan.fold_tiles - 1) / plan.fold_tiles;
  const int64_t begin = tile * size < length ? tile * size : length;
  return {index / plan.fold_tiles / groups, index / plan.fold_tiles % groups, begin,
          begin + size < length ? begin + size : length};
}

template <class T>
static void fold_x(const CrossBackwardPlan& plan, int64_t index) {
  const pm_cross_scan_params& p = plan.params->forward;
  const PullPlan& pull = plan.pull;
  const int64_t positions = p.frames * p.joints;
  const FoldTask task = fold_task(pull, index, pull.chunks, p.frames);
  const int64_t channel = task.group * kChunk;
  const int64_t left = p.d_inner - channel;
  Fold<T> fold{};
  fold.parts =
      pull.workspace + pull.own +
      (task.item * pull.rows * pull.parts + task.group / pull.chunks_per_task) * pull.task_floats +
      task.group % pull.chunks_per_task * positions * kChunk;
  fold.part_stride = pull.parts * pull.task_floats;
  fold.part_row = kChunk;
  fold.count = pull.rows;
  fold.limb_mask = p.limb_mask;
  fold.mask_step = 1;
  fold.out = static_cast<T*>(plan.params->dx) +
             (pull.first_item + task.item) * positions * p.d_inner + channel;
  fold.drop_limbs = plan.params->limb_gradient == PM_LIMB_OFFICIAL;
  fold.out_row = p.d_inner;
  fold.columns = static_cast<int>(left < kChunk ? left : int64_t{kChunk});
  fold_frames(p, fold, task.begin, task.end);
}

template <class T>
static void fold_x_dbl(const CrossBackwardPlan& plan, int64_t index) {
  const pm_cross_scan_params& p = plan.params->forward;
  const PullPlan& pull = plan.pull;
  const int64_t positions = p.frames * p.joints;
  const FoldTask task = fold_task(pull, index, pull.rows, p.frames);
  const int width = p.dt_rank + 2 * p.d_state;
  Fold<T> fold{};
  fold.part_stride = pull.task_floats;
  fold.part_row = pull.shared_stride;
  fold.count = pull.parts;
  fold.limb_mask = p.limb_mask + task.group;
  fold.out_row = int64_t{p.directions} * width;
  const int64_t out = (pull.first_item + task.item) * positions * fold.out_row + task.group * width;
  const bool apart = plan.params->limb_gradient == PM_LIMB_OFFICIAL;
  for (int column = 0; column < width; column += kChunk) {
    fold.parts = pull.workspace + pull.shared + column +
                 (task.item * pull.rows + task.group) * pull.parts * pull.task_floats;
    fold.out = static_cast<T*>(plan.params->dx_dbl) + out + column;
    fold.limb_out = apart ? static_cast<T*>(plan.params->dx_dbl_limb) + out + column : nullptr;
    fold.columns = min_int(width - column, kChunk);
    fold_frames(p, fold, task.begin, task.end);
  }
}

static void cross_fold_x_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const CrossBackwardPlan& plan = *static_cast<const CrossBackwardPlan*>(plan_pointer);
  plan.params->forward.dtype == PM_FLOAT32 ? fold_x<float>(plan, index) : fold_x<Half>(plan, index);
}

static void cross_fold_x_dbl_task(void* plan_pointer, int64_t index) {
  const FlushDenormals mode;
  const CrossBackwardPlan& plan = *static_cast<const CrossBackwardPlan*>(plan_pointer);
  const auto fold = plan.params->forward.dtype == PM_FLOAT32 ? fold_x_dbl<float> : fold_x_dbl<Half>;
  fold(plan, index);
}

}  // namespace
}  // namespace posemamba
