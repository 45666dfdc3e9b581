// The gradients of x, x_dbl, B and C from the parts that blocks left in the workspace, each added
// in one order.
#pragma once

#include "cuda/scan/backward/cross_rows.cuh"
#include "cuda/scan/backward/plan.h"

namespace posemamba::cuda::backward {

struct MergeArgs {
  const float* from;  // [batch * directions][parts][steps][width]
  void* to;           // [batch][positions][columns]
  int parts;
  int width;
  int columns;
  int rows;  // of a thread block
  int blocks_per_item;
  bool own;   // add what the steps of a position ask of it
  bool limb;  // add what the steps of those joints ask whose limb neighbour it is
  int directions;
  int frames;
  int joints;
  Walk walk[PM_MAX_DIRECTIONS];
  // The joints whose neighbour is j: limb_of[first_limb[j]] to limb_of[first_limb[j + 1] - 1].
  unsigned char first_limb[PM_MAX_JOINTS + 1];
  unsigned char limb_of[PM_MAX_JOINTS];
};

// When a direction visits (frame, joint): the inverse of CrossRows' positions. No branch, so that
// the loads of all directions are on their way at once.
__device__ __forceinline__ int step_at(const Walk& walk, int frames, int joints, int frame,
                                       int joint) {
  const bool by_joint = walk.order == PM_JOINT_MAJOR || walk.order == PM_JOINT_MAJOR_FLIPPED;
  const bool flipped = walk.order == PM_FRAME_MAJOR_FLIPPED || walk.order == PM_JOINT_MAJOR_FLIPPED;
  const int inner = by_joint ? frames : joints, outer = by_joint ? joint : frame;
  const int in = by_joint ? frame : joint;
  const int step = outer * inner + (flipped ? inner - 1 - in : in);
  return walk.reverse ? frames * joints - 1 - step : step;
}

// A block takes `rows` positions of a batch item, a thread a column of one, or of columns beyond a
// block's threads several. EachDirection: a column belongs to one direction, which left it in
// `parts` blocks; else it is the sum over all directions, each of which left it once.
template <typename T, bool EachDirection>
__global__ void __launch_bounds__(kThreads) merge_kernel(const __grid_constant__ MergeArgs a) {
  const int steps = a.frames * a.joints;
  const int item = static_cast<int>(blockIdx.x) / a.blocks_per_item;
  const int row = static_cast<int>(threadIdx.x) / a.columns;
  const int position = static_cast<int>(blockIdx.x) % a.blocks_per_item * a.rows + row;
  if (row >= a.rows || position >= steps) return;
  const int frame = position / a.joints, joint = position % a.joints;
  const int64_t each = int64_t{a.parts} * steps;  // rows of a direction
  T* to = static_cast<T*>(a.to) + (int64_t{item} * steps + position) * a.columns;
  for (int column = static_cast<int>(threadIdx.x) - row * a.columns; column < a.columns;
       column += kThreads) {
    const int first = EachDirection ? column / a.width : 0;
    const int end = EachDirection ? first + 1 : a.directions;
    const float* from =
        a.from + int64_t{item} * a.directions * each * a.width + (column - first * a.width);
    float sum = 0.0f;
    const auto add = [&](int k, int of_joint) {
      const int step = step_at(a.walk[k], a.frames, a.joints, frame, of_joint);
      const float* at = from + (k * each + step) * a.width;
      if constexpr (EachDirection) {
#pragma unroll 4
        for (int part = 0; part < a.parts; ++part) sum += at[int64_t{part} * steps * a.width];
      } else {
        sum += *at;
      }
    };
    if (a.own) {
#pragma unroll 4
      for (int k = first; k < end; ++k) add(k, joint);
    }
    for (int k = first; a.limb && k < end; ++k) {
      if (!a.walk[k].limb_mask) continue;
#pragma unroll 4
      for (int m = a.first_limb[joint]; m < a.first_limb[joint + 1]; ++m) add(k, a.limb_of[m]);
    }
    Io<T>::store(to + column, sum);
  }
}

// dB and dC of SelectiveScan: the sum over the blocks of a row.
struct StatesArgs {
  const float* from;  // [rows][parts][2][each], each = d_state * steps
  void* dB;           // [rows][each]
  void* dC;
  int64_t each;
  int64_t elements;  // rows * 2 * each
  int parts;
};

template <typename T>
__global__ void __launch_bounds__(kThreads) states_kernel(const __grid_constant__ StatesArgs a) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= a.elements) return;
  const int64_t row = i / (2 * a.each), inside = i % (2 * a.each);
  const float* from = a.from + row * a.parts * 2 * a.each + inside;
  float sum = 0.0f;
  for (int part = 0; part < a.parts; ++part) sum += from[part * 2 * a.each];
  T* to = static_cast<T*>(inside < a.each ? a.dB : a.dC);
  Io<T>::store(to + row * a.each + inside % a.each, sum);
}

}  // namespace posemamba::cuda::backward
