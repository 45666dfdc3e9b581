// How the launchers of the gradients cut the work, and what they add up over the batch.
#pragma once

#include "cpu/parallel.h"
#include "cpu/tasks.h"

namespace posemamba {

// What both operators' parameters come to.
struct PullSizes {
  int64_t batch;
  int64_t rows;      // directions, or groups
  int64_t channels;  // of a row
  int64_t steps;     //
  int64_t d_state;
  int64_t dt_rank;      // 0: step sizes are not projected
  int64_t positions;    // of a grid that x lies on, 0 without one
  int64_t fold_length;  // frames, or steps: what a fold is cut along
};

PullPlan make_pull_plan(const PullSizes& sizes, int32_t threads);

size_t pull_bytes(const PullPlan& plan);

// Where the parameters' gradients go; null: not wanted.
struct WeightOutputs {
  float* dA;       // [rows, channels, d_state]
  float* dW;       // [rows, channels, dt_rank]
  float* dt_bias;  // [rows, channels]
  float* D;        // [rows, channels]
};

// Adds the wave's items to the outputs, in their order; the batch's first item starts the sums.
void add_weights(const PullSizes& sizes, const PullPlan& plan, const WeightOutputs& to);

}  // namespace posemamba
