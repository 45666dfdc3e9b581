#include <algorithm>

#include "cuda/device/math.cuh"
#include "cuda/device/occupancy.cuh"
#include "cuda/device/start.h"
#include "cuda/scan/backward/around.h"
#include "cuda/scan/backward/staged.cuh"

namespace posemamba::cuda::backward {
namespace {

struct HandOverArgs {
  Problem problem;
  int states;  // a channel has in the workspace
  int64_t rows;
};

constexpr int kAhead = 8;  // chunks read at once

// A thread is four states of a channel of a row. blockIdx.y 0 walks the states forwards, 1 what is
// asked of them backwards: what enters a chunk takes the place of what the chunk gives by itself.
__global__ void __launch_bounds__(kThreads, blocks_of_sm(4))
    hand_over_kernel(const __grid_constant__ HandOverArgs a) {
  const Problem& p = a.problem;
  const int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kPerLane;
  const int64_t row_size = int64_t{p.channels} * a.states;
  if (i >= a.rows * row_size) return;
  const int64_t row = i / row_size;
  const int inside = static_cast<int>(i % row_size);
  const int channel = inside / a.states, n = inside % a.states;
  const float* A = p.A + ((row % p.groups) * p.channels + channel) * p.d_state;
  float rate[kPerLane], entering[kPerLane] = {};
#pragma unroll
  for (int k = 0; k < kPerLane; ++k) rate[k] = n + k < p.d_state ? A[n + k] * kLog2e : 0.0f;
  const bool backwards = blockIdx.y == 1;
  const int last = p.chunks - 1;
  float* const at = (backwards ? p.adjoint : p.state) + row * p.chunks * row_size + inside;
  const float* const dt_sum = p.dt_sum + row * p.chunks * p.channels + channel;
  for (int first = 0; first < p.chunks; first += kAhead) {
    float given[kAhead][kPerLane], dt[kAhead];
#pragma unroll
    for (int m = 0; m < kAhead; ++m) {
      const int k = min(first + m, last), chunk = backwards ? last - k : k;
      read4(at + chunk * row_size, given[m]);
      dt[m] = dt_sum[int64_t{chunk} * p.channels];
    }
#pragma unroll
    for (int m = 0; m < kAhead; ++m) {
      if (first + m >= p.chunks) break;
      const int chunk = backwards ? last - (first + m) : first + m;
      write4(at + chunk * row_size, entering);
#pragma unroll
      for (int k = 0; k < kPerLane; ++k) {
        entering[k] = fmaf(exp2_fast(rate[k] * dt[m]), entering[k], given[m][k]);
      }
    }
  }
}

constexpr int kColumns = 32;  // of a block; its warps share the terms
constexpr int kSlices = kThreads / kColumns;

struct SumArgs {
  Sum sums[kMostSums];  // blockIdx.y chooses
  int64_t batch;
  int groups;
  int chunks;
  int channels;
};

__global__ void __launch_bounds__(kThreads) sum_kernel(const __grid_constant__ SumArgs a) {
  __shared__ float parts[kSlices][kColumns];
  const Sum& sum = a.sums[blockIdx.y];
  const int64_t inner = int64_t{a.channels} * sum.width;
  const int64_t first = int64_t{blockIdx.x} * kColumns;
  if (first >= a.groups * inner) return;  // another sum is wider
  const int lane = static_cast<int>(threadIdx.x) % kColumns;
  const int slice = static_cast<int>(threadIdx.x) / kColumns;
  const int64_t column = first + lane;
  const bool real = column < a.groups * inner;
  const int64_t group = real ? column / inner : 0, inside = real ? column % inner : 0;
  const int64_t terms = a.batch * a.chunks;
  const int64_t each = (terms + kSlices - 1) / kSlices;
  const int64_t begin = each * slice, end = min(begin + each, terms);
  int chunk = static_cast<int>(begin % a.chunks);
  const float* from =
      sum.from + ((begin / a.chunks * a.groups + group) * a.chunks + chunk) * inner + inside;
  const int64_t to_next_item = (int64_t{a.groups} - 1) * a.chunks * inner;
  float total = 0.0f;
#pragma unroll 8
  for (int64_t t = begin; t < end; ++t) {
    total += *from;
    const bool last = ++chunk == a.chunks;
    chunk = last ? 0 : chunk;
    from += last ? inner + to_next_item : inner;
  }
  parts[slice][lane] = total;
  __syncthreads();
  const int64_t channel = inside / sum.width, m = inside % sum.width;
  if (slice > 0 || !real || m >= sum.kept) return;
  for (int other = 1; other < kSlices; ++other) total += parts[other][lane];
  sum.to[(group * a.channels + channel) * sum.kept + m] = total;
}

}  // namespace

Problem make_problem(const Sizes& sizes, const Plan& plan, int32_t groups, Parts* parts) {
  Problem problem{};
  const int64_t carried = sizes.rows * plan.chunks * sizes.channels;
  problem.state = parts->take(carried * plan.states);
  problem.adjoint = parts->take(carried * plan.states);
  problem.dt_sum = parts->take(carried);
  problem.skip = parts->take(carried);
  problem.steps = static_cast<int>(sizes.steps);
  problem.groups = groups, problem.channels = sizes.channels, problem.d_state = sizes.d_state;
  problem.chunks = plan.chunks, problem.blocks_per_row = plan.blocks_per_row;
  problem.layout = plan.layout;
  return problem;
}

cudaError_t hand_over(const Problem& problem, int64_t rows, int states, const Device& device,
                      cudaStream_t stream) {
  const HandOverArgs a{problem, states, rows};
  const int64_t threads = rows * problem.channels * states / kPerLane;
  const dim3 grid(static_cast<unsigned>(blocks_for(threads)), 2);
  return start(hand_over_kernel, grid, kThreads, a, device, stream);
}

cudaError_t sum_chunks(const Problem& problem, int64_t batch, const Sum* sums, int count,
                       const Device& device, cudaStream_t stream) {
  SumArgs a{};
  int64_t blocks = 0;
  for (int i = 0; i < count; ++i) {
    a.sums[i] = sums[i];
    const int64_t columns = int64_t{problem.groups} * problem.channels * sums[i].width;
    blocks = std::max(blocks, (columns + kColumns - 1) / kColumns);
  }
  a.batch = batch, a.groups = problem.groups, a.chunks = problem.chunks;
  a.channels = problem.channels;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(count));
  return start(sum_kernel, grid, kThreads, a, device, stream);
}

}  // namespace posemamba::cuda::backward
