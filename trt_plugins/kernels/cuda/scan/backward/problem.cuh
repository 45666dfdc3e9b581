// What every backward kernel knows of its problem, whatever the operator.
#pragma once

#include <cuda_runtime.h>

#include "cuda/scan/backward/shape.h"
#include "posemamba/scan_backward.h"

namespace posemamba::cuda::backward {

// A row is a group (a direction) of a batch item. Steps are numbered as the row walks them.
struct Problem {
  const float* A;  // [groups][channels][d_state]
  const float* D;  // [groups][channels]; null: zero
  // In the workspace, [batch * groups][chunks][channels][Shape::kStates]:
  float* state;    // a chunk's end state from zero; then its start state; then its part of dA
  float* adjoint;  // what a chunk alone asks of the state before it; then what is asked of its end
  // [batch * groups][chunks][channels]:
  float* dt_sum;  // of a chunk; then its part of the gradient of dt's bias
  float* skip;    // a chunk's part of dD
  int steps;
  int groups;
  int channels;
  int d_state;
  int softplus;  // 0 or 1
  int chunks;
  int blocks_per_row;  // channel groups
  Layout layout;
};

// What a thread block works on. It lies in shared memory: the kernels are short of registers.
struct Place {
  int row;
  int group;
  int chunk;
  int block;  // of the row
  int first;  // channel
  int begin;  // step
  int warps;  // of the thread block
};

__device__ __forceinline__ int thread_number() { return static_cast<int>(threadIdx.x); }

template <class S>
__device__ __forceinline__ Place place_of(const Problem& p) {
  Place at;
  at.warps = static_cast<int>(blockDim.x) / 32;
  const int index = static_cast<int>(blockIdx.x);
  at.chunk = index % p.chunks;
  at.block = index / p.chunks % p.blocks_per_row;
  at.row = index / p.chunks / p.blocks_per_row;
  at.group = at.row % p.groups;
  at.first = at.block * at.warps * S::kChannels;
  at.begin = at.chunk * kSteps;
  return at;
}

}  // namespace posemamba::cuda::backward
