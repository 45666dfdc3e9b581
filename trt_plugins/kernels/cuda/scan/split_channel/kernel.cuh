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
                                        int stream, int row, int first, int warp) {
  Ring<C>& ring = shared.rings[stream];
  const Span span = span_of<C>(a.steps, stream);
  const int tiles = tiles_of<C>(span);
  Converter<C> converter(a, from, span, row, first, warp, ring.weights);
  dependency_wait();  // what is prepared comes from the previous launch
  dependency_release();
  converter.load(0);
  Cursor<C> at;
#pragma unroll 1
  for (int t = 0; t < tiles + C::kStages; ++t, at.next()) {
    Stage<C>& stage = ring.stages[at.stage];
    if (t >= C::kStages) {
      barrier_wait(ring.empty + at.stage, at.parity ^ 1);
      converter.flush(stage, t - C::kStages);
    }
    if (t < tiles) {
      converter.copy(stage, t, ring.full + at.stage);
      converter.store(stage);
      if (C::kStreams > 1 && stream == 1 && t == span.meeting - 1) {
        converter.put_sums(shared.meeting.sums[warp]);
      }
      barrier_arrive(ring.full + at.stage);
      if (t + 1 < tiles) converter.load(t + 1);
    }
  }
}

template <class C>
__device__ __forceinline__ void scan(const CrossArgs& a, Shared<C>& shared, int stream,
                                     int direction, int first, int thread) {
  Ring<C>& ring = shared.rings[stream];
  const Span span = span_of<C>(a.steps, stream);
  const int tiles = tiles_of<C>(span);
  if (C::kStreams > 1 && tiles == 0) return;  // a short sequence is the first stream's
  Scanner<C> scanner(a, direction, first, thread);
  Cursor<C> at;
  barrier_wait(ring.full, 0);
  if constexpr (C::kSpl <= 2) {
    scanner.prepare(ring.stages[0], 0);
#pragma unroll 1
    for (int t = 0; t < tiles; ++t) {
      const int now = at.stage;
      at.next();
      if (t + 1 < tiles) barrier_wait(ring.full + at.stage, at.parity);
      if constexpr (C::kStreams > 1) {
        if (t == span.meeting && stream == 0) scanner.tell(shared.meeting, thread);
        if (t == span.meeting && stream == 1) scanner.listen(shared.meeting, thread);
      }
      if (C::kStreams > 1 && stream == 1 && t < span.meeting) {
        scanner.states(ring.stages[now], ring.stages[at.stage]);
      } else {
        scanner.pipelined(ring.stages[now], ring.stages[at.stage]);
      }
      barrier_arrive(ring.empty + now);
    }
  } else {
#pragma unroll 1
    for (int t = 0; t < tiles; ++t, at.next()) {
      barrier_wait(ring.full + at.stage, at.parity);
      scanner.blocked(ring.stages[at.stage]);
      barrier_arrive(ring.empty + at.stage);
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
  if (thread < C::kStreams) {
    Ring<C>& ring = shared.rings[thread];
#pragma unroll
    for (int s = 0; s < C::kStages; ++s) {
      barrier_init(ring.full + s, full_arrivals<C>());
      barrier_init(ring.empty + s, C::kScanThreads);
    }
    if (C::kStreams > 1 && thread == 0) barrier_init(&shared.meeting.known, C::kScanThreads);
    barriers_ready();
  }
  __syncthreads();  // the rings are ready
  if (warp < C::kStreams * kScanWarps) {
    scan<C>(a, shared, warp / kScanWarps, row % a.directions, first, thread % C::kScanThreads);
  } else {
    const int converter = warp - C::kStreams * kScanWarps;
    convert<C>(a, from, shared, converter / C::kConverters, row, first, converter % C::kConverters);
  }
}

}  // namespace posemamba::cuda::split_channel
