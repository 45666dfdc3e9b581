// Which steps of a table visit a position: what a merge needs to read outputs in step order.
#pragma once

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

constexpr int kLinkThreads = 1024;

// The first step after `step` that visits `position`, by a whole warp; there is one.
__device__ __forceinline__ int next_visit(const int32_t* table, int steps, int step, int position,
                                          int lane) {
#pragma unroll 1
  for (int start = step + 1;; start += 32) {
    const bool found = start + lane < steps && table[start + lane] == position;
    const unsigned lanes = __ballot_sync(0xffffffffu, found);
    if (lanes != 0) return start + __ffs(static_cast<int>(lanes)) - 1;
  }
}

// A block a direction. A permutation needs its first and last steps alone, and they are one; only
// repeats are searched for. Nothing is read that the scan writes, so it may run beside it; whoever
// waits for this kernel has waited for the scan, too.
__global__ void __launch_bounds__(kLinkThreads)
    table_link_kernel(const __grid_constant__ TableArgs a) {
  const int k = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int32_t* table = a.scan_index + int64_t{k} * a.steps;
  int* first = a.first + int64_t{k} * a.positions;
  int* last = a.last + int64_t{k} * a.positions;
  int* next = a.next + int64_t{k} * a.steps;
  dependency_release();
  for (int p = thread; p < a.positions; p += kLinkThreads) first[p] = kNoStep, last[p] = -1;
  __syncthreads();
  const auto visits = [&](int p) {
    return static_cast<unsigned>(p) < static_cast<unsigned>(a.positions);
  };
  for (int s = thread; s < a.steps; s += kLinkThreads) {
    const int p = table[s];
    if (!visits(p)) continue;
    atomicMin(first + p, s);
    atomicMax(last + p, s);
  }
  __syncthreads();
  // Whole warps stay together: their lanes search for each other.
  for (int start = thread / 32 * 32; start < a.steps; start += kLinkThreads) {
    const int lane = thread % 32, s = start + lane;
    const int p = s < a.steps ? table[s] : -1;
    int follower = -1;
    unsigned repeated = __ballot_sync(0xffffffffu, visits(p) && __ldcg(last + p) != s);
    for (; repeated != 0; repeated &= repeated - 1) {
      const int owner = __ffs(static_cast<int>(repeated)) - 1;
      const int position = __shfl_sync(0xffffffffu, p, owner);
      const int found = next_visit(table, a.steps, start + owner, position, lane);
      if (lane == owner) follower = found;
    }
    if (s < a.steps) next[s] = follower;
  }
  dependency_wait();
}

}  // namespace posemamba::cuda
