// Split-channel design of CrossSelectiveScan, where channels are too few for a lane each: 4 or 8
// lanes share a channel, and one pass of few channels a thread block fills the GPU. Converter warps
// do everything a channel's lanes would repeat; a ring of stages joins them to the scan warps.
// Where channels are fewest, several warps take turns at them.
#pragma once

#include "cuda/scan/split_channel/converter.cuh"
#include "cuda/scan/split_channel/scanner.cuh"

namespace posemamba::cuda::split_channel {

// `full` is the converters' word that a stage is complete, `empty` the scan warps' that its inputs
// are read and its outputs written. Every thread arrives for itself, so that a sanitizer can tell
// that each is ordered.
template <class C>
__device__ __forceinline__ void convert(const CrossArgs& a, const Prepared& from, Shared<C>& shared,
                                        int row, int first, int warp) {
  Converter<C> converter(a, from, row, first, warp, shared.weights);
  dependency_wait();  // what is prepared comes from the previous launch
  dependency_release();
#pragma unroll
  for (int n = 0; n < C::kAhead; ++n) converter.load(n * C::kTile, n);
  const int tiles = (a.steps + C::kTile - 1) / C::kTile;
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
      converter.next();
      if (t + C::kAhead < tiles) converter.load((t + C::kAhead) * C::kTile, C::kAhead - 1);
    }
  }
}

// The warps of a team take turns at its channels: while one walks its segment, the others sum what
// they have walked and make the decays of what they will walk. A walk is one FMA a state and step,
// and begins with what the last one ended with: all arithmetic is that of one warp. `handed` is the
// word of the warp before that its states are there. They are overwritten a round of turns later,
// when whoever read them has handed on: no barrier says that they are read.
template <class C>
__device__ __forceinline__ void scan_in_turns(const CrossArgs& a, Shared<C>& shared,
                                              Scanner<C>& scanner, int team, int turn) {
  constexpr int kRound = C::kTurns * C::kSegment;
  const int before = (turn + C::kTurns - 1) % C::kTurns;
  if (turn == 0) {  // the first segment begins with zeros
    scanner.hand_on(shared.states[before][team]);
    barrier_arrive(&shared.handed[before][team]);
  }
  Cursor<C> at;
  barrier_wait(shared.full, 0);
  scanner.prepare(shared.stages[0], turn * C::kSegment);
  uint32_t parity = 0;  // of what is handed on
#pragma unroll 1
  for (int left = a.steps; left > 0; left -= C::kTile) {
    Stage<C>& stage = shared.stages[at.stage];
    uint64_t* const empty = shared.empty + at.stage;
    at.next();
    // Here, where nothing waits for it yet: between this warp's turns it cost 0.3 to 1 us a block.
    if (left > C::kTile) barrier_wait(shared.full + at.stage, at.parity);
#pragma unroll
    for (int t = 0; t < C::kTile; t += kRound, parity ^= 1) {
      const int own = t + turn * C::kSegment;
      if (own >= left) break;
      barrier_wait(&shared.handed[before][team], parity);
      scanner.take_over(shared.states[before][team]);
      scanner.walk();
      scanner.hand_on(shared.states[turn][team]);
      barrier_arrive(&shared.handed[turn][team]);
      if (t + kRound < C::kTile) {
        scanner.finish(stage, own, stage, own + kRound);
      } else {
        scanner.finish(stage, own, shared.stages[at.stage], turn * C::kSegment);
      }
    }
    barrier_arrive(empty);
  }
}

// One warp a team.
template <class C>
__device__ __forceinline__ void scan_alone(const CrossArgs& a, Shared<C>& shared,
                                           Scanner<C>& scanner) {
  Cursor<C> at;
  barrier_wait(shared.full, 0);
  if constexpr (C::kSpl == 2) scanner.prepare(shared.stages[0], 0);
#pragma unroll 1
  for (int left = a.steps; left > 0; left -= C::kTile) {
    Stage<C>& stage = shared.stages[at.stage];
    uint64_t* const empty = shared.empty + at.stage;
    if constexpr (C::kSpl == 2) {
      at.next();
      if (left > C::kTile) barrier_wait(shared.full + at.stage, at.parity);
      scanner.pipelined(stage, shared.stages[at.stage]);
    } else {
      barrier_wait(shared.full + at.stage, at.parity);
      scanner.blocked(stage);
      at.next();
    }
    barrier_arrive(empty);
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
  if (thread == 0) {
#pragma unroll
    for (int s = 0; s < C::kStages; ++s) {
      barrier_init(shared.full + s, full_arrivals<C>());
      barrier_init(shared.empty + s, C::kScanThreads);
    }
    for (int i = 0; i < C::kTurns * C::kTeams; ++i) barrier_init(&shared.handed[0][0] + i, 32);
    barriers_ready();
  }
  __syncthreads();  // the ring is ready
  if (warp < kScanWarps) {
    const int team = warp % C::kTeams;
    Scanner<C> scanner(a, row % a.directions, first, team);
    if constexpr (C::kTurns > 1) {
      scan_in_turns(a, shared, scanner, team, warp / C::kTeams);
    } else {
      scan_alone(a, shared, scanner);
    }
  } else {
    convert<C>(a, from, shared, row, first, warp - kScanWarps);
  }
}

}  // namespace posemamba::cuda::split_channel
