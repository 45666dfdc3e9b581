// Split-channel design of CrossSelectiveScan, where channels are too few for a lane each: 4, 8 or
// 16 lanes share a channel, and one pass of few channels a thread block fills the GPU. Converter
// warps do everything a channel's lanes would repeat; a ring of stages joins them to the scan
// warps.
#pragma once

#include "cuda/scan/split_channel/converter.cuh"
#include "cuda/scan/split_channel/scanner.cuh"

namespace posemamba::cuda::split_channel {

// `full` is the converters' word that a stage is complete, `empty` the scan warps' that its inputs
// are read and its outputs written. Every thread arrives for itself, so that a sanitizer can tell
// that each is ordered.
template <class C>
__device__ __forceinline__ void convert(const CrossArgs& a, const Prepared& from, Shared<C>& shared,
                                        int row, int first, int tiles, int warp) {
  Converter<C> converter(a, from, row, first, warp, shared.weights);
  dependency_wait();  // what is prepared comes from the previous launch
  dependency_release();
  converter.load(0);
  Cursor<C> at;
#pragma unroll 1
  for (int t = 0; t < tiles + C::kStages; ++t, at.next()) {
    Stage<C>& stage = shared.stages[at.stage];
    if (t >= C::kStages) {
      barrier_wait(shared.empty + at.stage, at.parity ^ 1);
      converter.flush(stage, (t - C::kStages) * C::kTile);
    }
    if (t < tiles) {
      converter.copy(stage, t * C::kTile, shared.full + at.stage);
      converter.store(stage);
      barrier_arrive(shared.full + at.stage);
      if (t + 1 < tiles) converter.load((t + 1) * C::kTile);
    }
  }
}

template <class C>
__device__ __forceinline__ void scan(const CrossArgs& a, Shared<C>& shared, int direction,
                                     int first, int tiles) {
  Scanner<C> scanner(a, direction, first);
  Cursor<C> at;
  barrier_wait(shared.full, 0);
  if constexpr (C::kSpl <= 2) {
    scanner.prepare(shared.stages[0], 0);
#pragma unroll 1
    for (int t = 0; t < tiles; ++t) {
      const int now = at.stage;
      at.next();
      if (t + 1 < tiles) barrier_wait(shared.full + at.stage, at.parity);
      scanner.pipelined(shared.stages[now], shared.stages[at.stage]);
      barrier_arrive(shared.empty + now);
    }
  } else {
#pragma unroll 1
    for (int t = 0; t < tiles; ++t, at.next()) {
      barrier_wait(shared.full + at.stage, at.parity);
      scanner.blocked(shared.stages[at.stage]);
      barrier_arrive(shared.empty + at.stage);
    }
  }
}

// Occupancy: one block an SM is planned for; it may use every register.
template <class C>
__global__ void __launch_bounds__(C::kThreads, 1)
    split_channel_kernel(const __grid_constant__ CrossArgs a,
                         const __grid_constant__ Prepared from) {
  Shared<C>& shared = *reinterpret_cast<Shared<C>*>(dynamic_shared());
  constexpr int kScanWarps = C::kScanThreads / 32;
  const int thread = static_cast<int>(threadIdx.x);
  // From one lane, so that the compiler knows that a warp goes one way: else it makes a second path
  // for every shuffle, for lanes that have parted, and moves registers for it.
  const int warp = __shfl_sync(~0u, thread / 32, 0);
  const int first = static_cast<int>(blockIdx.x) % a.blocks_per_row * C::kChannels;
  const int row = static_cast<int>(blockIdx.x) / a.blocks_per_row;  // batch * directions + k
  const int tiles = (a.steps + C::kTile - 1) / C::kTile;
  if (thread == 0) {
#pragma unroll
    for (int s = 0; s < C::kStages; ++s) {
      barrier_init(shared.full + s, full_arrivals<C>());
      barrier_init(shared.empty + s, C::kScanThreads);
    }
    barriers_ready();
  }
  __syncthreads();  // the ring is ready
  if (warp < kScanWarps) {
    scan<C>(a, shared, row % a.directions, first, tiles);
  } else {
    convert<C>(a, from, shared, row, first, tiles, warp - kScanWarps);
  }
}

}  // namespace posemamba::cuda::split_channel
