// What comes before, between and after the two kernels over chunks, for both operators.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/backward/plan.h"
#include "cuda/scan/backward/problem.cuh"

namespace posemamba::cuda::backward {

// Everything but the operator's own inputs; takes the first parts of the workspace.
Problem make_problem(const Sizes& sizes, const Plan& plan, int32_t groups, Parts* parts);

// From the chunks alone to what enters them: states forwards, then what is asked of them backwards.
cudaError_t hand_over(const Problem& problem, int64_t rows, int states, const Device& device,
                      cudaStream_t stream);

// A sum over batch items and chunks of [batch][groups][chunks][channels][width], in that order.
struct Sum {
  const float* from;
  float* to;  // [groups][channels][kept]
  int width;
  int kept;
};

constexpr int kMostSums = 4;

// At most kMostSums of them, in one launch.
cudaError_t sum_chunks(const Problem& problem, int64_t batch, const Sum* sums, int count,
                       const Device& device, cudaStream_t stream);

}  // namespace posemamba::cuda::backward
