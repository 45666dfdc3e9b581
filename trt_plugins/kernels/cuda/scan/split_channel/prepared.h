// What the split-channel and resident designs read, made from x and x_dbl by a kernel of its own:
// converter lanes are steps, and only rows in step order give them whole cache lines.
#pragma once

#include <cuda_fp16.h>

#include "cuda/scan/clear.h"
#include "posemamba/scan.h"

namespace posemamba::cuda::split_channel {

// Directions that differ in `reverse` alone share their panels of u: the reversed one reads them
// backwards. `steps4` is the number of steps, rounded up to whole groups of four.
struct Prepared {
  __half* u;   // [batch][walk][d_inner / 8][steps4][8], limb summed, in the walk's step order
  float* bc;   // [batch][direction][steps4 / 4][B, C][4 steps], limb summed, in step order
  float* raw;  // [batch][direction][steps4][dt_rank], the same
  int steps4;
  int walks;                               // distinct (order, limb_mask) among the directions
  unsigned char walk[PM_MAX_DIRECTIONS];   // of a direction
  unsigned char first[PM_MAX_DIRECTIONS];  // a direction of each walk
  Clear clear;                             // whoever makes the rows clears this, too
};

constexpr int kPanel = 8;          // channels of a panel: 16 bytes of a step
constexpr int kPrepareSteps = 32;  // of a preparing thread block
constexpr int kPrepareThreads = 256;

}  // namespace posemamba::cuda::split_channel
