// The scan kernel of CrossSelectiveScan, either version. A thread block owns `Channels` channels of
// one (batch item, direction, chunk); producer warps gather, convert and project the next tile
// while scan warps work on this one. Outputs go out in step order, one buffer per direction, in the
// type of x.
#pragma once

#include "cuda/scan/chunked/cross_producer.cuh"
#include "cuda/scan/chunked/phase.h"
#include "cuda/scan/chunked/scan_core.cuh"
#include "cuda/scan/chunked/walk.cuh"

namespace posemamba::cuda {

template <class C, typename T, int Rank, class Walk>
struct CrossShared {
  using Producer = CrossProducer<C, T, Rank, Walk>;
  Stage<C> stages[kStages];
  Ring<C> ring;
  typename Producer::Scratch scratch[C::kProducers];
  alignas(16) float weights[Producer::kSharedWeights ? Producer::kSharedWeights : 4];
  typename Walk::Shared walk;
};

// Weights of the block's channels as [input][channel]; channels past d_inner repeat the last.
template <class C, int Rank>
__device__ __forceinline__ void share_weights(const CommonArgs& a, int direction, int first,
                                              float* to) {
  for (int i = static_cast<int>(threadIdx.x); i < Rank * C::kChannels; i += C::kThreads) {
    const int channel = min(first + i / Rank, a.d_inner - 1);
    to[i % Rank * C::kChannels + i / Rank] =
        __ldg(a.dt_weight + (int64_t{direction} * a.d_inner + channel) * Rank + i % Rank);
  }
}

// fp32 rows of rank 16 need more registers than two blocks per SM leave.
template <class C, typename T, int Rank, class Walk>
__global__ void __launch_bounds__(C::kThreads, sizeof(T) == 4 && Rank > 8 ? 1 : C::kMinBlocks)
    cross_scan_kernel(const __grid_constant__ typename Walk::Args a) {
  using Shared = CrossShared<C, T, Rank, Walk>;
  using Producer = typename Shared::Producer;
  Shared& shared = *reinterpret_cast<Shared*>(dynamic_shared());
  Stage<C>* stages = shared.stages;
  Ring<C>& ring = shared.ring;
  const int thread = static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(blockIdx.x) % a.blocks_per_row * C::kChannels;
  const int row = static_cast<int>(blockIdx.x) / a.blocks_per_row;  // batch * directions + k
  const int direction = row % a.directions;
  const int chunk = static_cast<int>(blockIdx.y) + (a.phase == kOutputs ? 1 : 0);
  const int end = a.first_steps + chunk * a.chunk_steps;
  const int begin = chunk == 0 ? 0 : end - a.chunk_steps;
  const int tiles = (end - begin + C::kTile - 1) / C::kTile;

  shared.walk.init(a, thread);
  if constexpr (Producer::kSharedWeights > 0) {
    share_weights<C, Rank>(a, direction, first, shared.weights);
  }
  if (thread == 0) ring.init();
  // x, x_dbl and (kOutputs) the end states come from earlier launches. Releasing only after the
  // wait keeps that true for the next launch too: when it starts, everything before this one is
  // done.
  if (a.phase != kOutputs) dependency_wait();
  __syncthreads();  // the ring, the walk's share and the weights are ready
  dependency_release();

  if (thread >= C::kScanThreads) {
    const int warp = (thread - C::kScanThreads) / 32;
    Producer producer(a, row / a.directions, direction, first, begin, end, shared.walk,
                      shared.scratch[warp], shared.weights, warp);
    producer.load(0);
#pragma unroll 1
    for (int i = 0; i < tiles; ++i) {
      if (i >= kStages) ring.wait_empty(i - kStages);  // its readers are done
      producer.store(stages[i % kStages], i);
      ring.signal_full(i);
      if (i + 1 < tiles) producer.load(i + 1);
    }
    return;
  }

  Scanner<C> scan;
  scan.place(thread);
  const int channel = first + scan.group * C::kCpt;
  const bool owned = channel < a.d_inner;  // d_inner is a multiple of 8, so all Cpt or none
#pragma unroll
  for (int q = 0; q < C::kCpt; ++q) {
#pragma unroll
    for (int i = 0; i < C::kSpl; ++i) {
      const int n = scan.lane * C::kSpl + i;
      const bool real = owned && n < a.d_state;
      const int64_t at = (int64_t{direction} * a.d_inner + channel + q) * a.d_state + n;
      scan.a[q][i] = real ? a.A[at] * kLog2e : 0.0f;
    }
  }
  if (a.phase == kOutputs) {
    dependency_wait();  // the end states come from the previous launch
    load_carry<C, Walk::kTables>(scan, a.carry, row, chunk, first);
  }
  T* out = static_cast<T*>(a.partial) + (int64_t{row} * a.steps + begin) * a.d_inner + channel;
  const bool outputs = a.phase != kStates || chunk == 0;
  const typename Walk::Tiles walk(a, direction);
#pragma unroll 1
  for (int i = 0; i < tiles; ++i) {
    const int s = i % kStages;
    const int first_step = begin + i * C::kTile;
    const int steps = min(C::kTile, end - first_step);
    ring.wait_full(i);  // the tile is complete
    if (outputs) {
      const auto sink = [&](int step, const float (&y)[C::kCpt]) {
        if (step >= steps || !owned) return;
        T* at = out + int64_t{step} * a.d_inner;
        if constexpr (C::kCpt == 2) {
          Io<T>::store_pair(at, y[0], y[1]);
        } else {
#pragma unroll
          for (int q = 0; q < C::kCpt; ++q) Io<T>::store(at + q, y[q]);
        }
      };
      walk.template scan<true>(scan, stages[s], first_step, steps, sink);
      out += int64_t{C::kTile} * a.d_inner;
    } else {
      walk.template scan<false>(scan, stages[s], first_step, steps,
                                [](int, const float (&)[C::kCpt]) {});
    }
    ring.signal_empty(i);
  }
  if (a.phase == kStates) save_carry<C>(scan, a.carry, row, chunk, first);
}

}  // namespace posemamba::cuda
