// Which steps of a table visit a position: what a merge needs to read outputs in step order.
#ifndef POSEMAMBA_KERNELS_CUDA_TABLE_VISITS_CUH_
#define POSEMAMBA_KERNELS_CUDA_TABLE_VISITS_CUH_

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

constexpr int kVisitThreads = 1024;

// The sum of `v` over the threads of the block before this one. `warps` is shared.
__device__ __forceinline__ int sum_before(int v, int (&warps)[kVisitThreads / 32]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  const auto over_lanes = [lane](int sum) {
#pragma unroll
    for (int i = 1; i < 32; i *= 2) {
      const int before = __shfl_up_sync(0xffffffffu, sum, i);
      if (lane >= i) sum += before;
    }
    return sum;
  };
  const int own = over_lanes(v);
  if (lane == 31) warps[thread / 32] = own;
  __syncthreads();
  if (thread < 32) warps[lane] = over_lanes(warps[lane]);
  __syncthreads();
  return own - v + (thread < 32 ? 0 : warps[thread / 32 - 1]);
}

// A block a direction sorts its steps by position, as they come by counting, and those of one
// position by rank: repeats are few, and where they are many, whoever merges them takes longer
// still. Nothing is read that the scan writes, so it may run beside it; whoever waits for this
// kernel has waited for the scan, too. What atomics have changed is read past the L1.
__global__ void __launch_bounds__(kVisitThreads)
    table_visits_kernel(const __grid_constant__ TableArgs a) {
  __shared__ int warps[kVisitThreads / 32];
  const int k = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int32_t* table = a.scan_index + int64_t{k} * a.steps;
  int* end = a.visits_end + int64_t{k} * a.positions;
  int* unsorted = a.unsorted + int64_t{k} * a.steps;
  int* visits = a.visits + int64_t{k} * a.steps;
  const auto each_visit = [&](const auto& use) {
    for (int s = thread; s < a.steps; s += kVisitThreads) {
      const int p = table[s];
      if (static_cast<unsigned>(p) < static_cast<unsigned>(a.positions)) use(s, p);
    }
  };
  dependency_release();
  for (int p = thread; p < a.positions; p += kVisitThreads) end[p] = 0;
  __syncthreads();
  each_visit([&](int, int p) { atomicAdd(end + p, 1); });
  __syncthreads();
  // From how many visits a position has to where they begin.
  const int each = (a.positions + kVisitThreads - 1) / kVisitThreads;
  const int first = min(thread * each, a.positions), last = min(first + each, a.positions);
  int sum = 0;
  for (int p = first; p < last; ++p) sum += __ldcg(end + p);
  sum = sum_before(sum, warps);
  for (int p = first; p < last; ++p) {
    const int count = __ldcg(end + p);
    end[p] = sum;
    sum += count;
  }
  __syncthreads();
  each_visit([&](int s, int p) { unsorted[atomicAdd(end + p, 1)] = s; });  // to where they end
  __syncthreads();
  each_visit([&](int s, int p) {
    const int from = p == 0 ? 0 : __ldcg(end + p - 1), to = __ldcg(end + p);
    int rank = 0;
    for (int i = from; to - from > 1 && i < to; ++i) rank += unsorted[i] < s;
    visits[from + rank] = s;
  });
  dependency_wait();
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_TABLE_VISITS_CUH_
