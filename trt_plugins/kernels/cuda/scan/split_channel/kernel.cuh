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
                                        int row, int first, const Tiles<C>& tiles, int warp) {
  Converter<C> converter(a, from, row, first, warp, shared.weights);
  dependency_wait();  // what is prepared comes from the previous launch
  dependency_release();
#pragma unroll
  for (int n = 0; n < C::kAhead; ++n) converter.load(tiles.start(n), n);
  Cursor<C> at;
#pragma unroll 1
  for (int t = 0; t < tiles.count + C::kStages; ++t, at.next()) {
    Stage<C>& stage = shared.stages[at.stage];
    if (t >= C::kStages) {
      barrier_wait(shared.empty + at.stage, at.parity ^ 1);
      const int flushed = t - C::kStages;
      converter.flush(stage, tiles.start(flushed), tiles.size(flushed));
    }
    if (t < tiles.count) {
      converter.copy(stage, tiles.start(t), shared.full + at.stage);
      converter.store(stage);
      barrier_arrive(shared.full + at.stage);
      converter.next();
      if (t + C::kAhead < tiles.count) {
        converter.load(tiles.start(t + C::kAhead), C::kAhead - 1);
      }
    }
  }
}

template <class C>
__device__ __forceinline__ void scan(const CrossArgs& a, Shared<C>& shared, int direction,
                                     int first, const Tiles<C>& tiles) {
  Scanner<C> scanner(a, direction, first);
  Cursor<C> at;
  barrier_wait(shared.full, 0);
  if constexpr (C::kSpl <= 2) {
    int t = 0;
    if (C::kShortTile && tiles.head < C::kTile) {
      scanner.shortened(shared.stages[0], tiles.head);
      barrier_arrive(shared.empty);
      if (tiles.count == 1) return;
      t = 1, at.next();
      barrier_wait(shared.full + at.stage, at.parity);
    }
    scanner.prepare(shared.stages[at.stage], 0);
#pragma unroll 1
    for (; t < tiles.count; ++t) {
      const int now = at.stage;
      at.next();
      if (t + 1 < tiles.count) barrier_wait(shared.full + at.stage, at.parity);
      scanner.pipelined(shared.stages[now], shared.stages[at.stage]);
      barrier_arrive(shared.empty + now);
    }
  } else {
#pragma unroll 1
    for (int t = 0; t < tiles.count; ++t, at.next()) {
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
  const Tiles<C> tiles(a.steps);
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
