// Kernel arguments of CrossSelectiveScan, and how a direction walks the grid or a table.
#pragma once

#include <limits>

#include "cuda/scan/chunked/scan_core.cuh"
#include "posemamba/scan.h"

namespace posemamba::cuda {

// What both versions of the operator have.
struct CommonArgs {
  const void* x;
  const void* x_dbl;
  const float* dt_weight;
  const float* dt_bias;
  const float* A;
  const float* D;
  void* y;
  void* partial;  // [batch * directions][steps][d_inner], in the type of x
  Carry carry;
  int64_t x_stride;
  int64_t x_dbl_stride;
  int64_t y_stride;
  int steps;
  int d_inner;
  int d_state;
  int dt_rank;
  int directions;
  int blocks_per_row;  // channel groups
  int first_steps;     // of chunk 0
  int chunk_steps;     // of every other chunk
  int phase;
  bool pairs_aligned;  // x may be read two channels at a time
  bool words_aligned;  // x and y may be accessed 16 bytes at a time
};

// Version 1: every direction takes frames * joints steps.
struct CrossArgs : CommonArgs {
  int frames;
  int joints;
  int merge_positions;  // per thread of the merge, even
  int order[PM_MAX_DIRECTIONS];
  int reverse[PM_MAX_DIRECTIONS];
  int limb_mask[PM_MAX_DIRECTIONS];
  int masked_first[PM_MAX_DIRECTIONS];  // the directions, those with a limb sum first
  unsigned char limb_index[PM_MAX_JOINTS];
  // Step at which direction k visits (frame, joint): base + frame * step_frame + joint *
  // step_joint.
  int step_base[PM_MAX_DIRECTIONS];
  int step_frame[PM_MAX_DIRECTIONS];
  int step_joint[PM_MAX_DIRECTIONS];
};

// Version 2: the steps of a direction are a row of a table.
struct TableArgs : CommonArgs {
  const int32_t* scan_index;       // [directions][steps]
  const int32_t* neighbour_index;  // as scan_index; may be null
  const int32_t* reset_length;     // [directions]; may be null
  // Found on the device, of every direction: the first step that visits a position and the last
  // (kNoStep, -1: none does), and of a step the next that visits the same (-1: none).
  int* first;  // [directions][positions]
  int* last;
  int* next;  // [directions][steps]
  int positions;
  int merge_positions;  // of a block of the merge
};
constexpr int kNoStep = std::numeric_limits<int>::max();

struct GridPoint {
  int frame;
  int joint;
};

// The grid point visited at `step` of a direction. One division per call: call it once per step.
__device__ __forceinline__ GridPoint point_of_step(const CrossArgs& a, int order, bool reverse,
                                                   int step) {
  if (reverse) step = a.steps - 1 - step;
  const bool by_joint = order == PM_JOINT_MAJOR || order == PM_JOINT_MAJOR_FLIPPED;
  const unsigned inner = by_joint ? a.frames : a.joints;
  const int outer = static_cast<int>(static_cast<unsigned>(step) / inner);
  int in = step - outer * static_cast<int>(inner);
  if (order >= PM_FRAME_MAJOR_FLIPPED) in = static_cast<int>(inner) - 1 - in;
  return by_joint ? GridPoint{in, outer} : GridPoint{outer, in};
}

}  // namespace posemamba::cuda
