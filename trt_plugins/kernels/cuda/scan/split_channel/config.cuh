// Configuration and shared memory of the split-channel design.
#pragma once

#include "cuda/scan/split_channel/copies.cuh"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda::split_channel {

// Spl         states a lane holds, 2 or 4: 16 / Spl lanes share a channel
// Channels    channels of a thread block
// Turns       warps that scan the same channels, a segment each in turn
// Segment     steps of a segment
// Tile        steps of a shared-memory stage
// Stages      stages of the ring
// Converters  warps that read, convert and project the tiles ahead and store the outputs behind
// HalfSums    whether the sum over a channel's lanes is float16
template <int Rank, int Spl, int Channels, int Turns, int Segment, int Tile, int Stages,
          int Converters, bool HalfSums>
struct Config {
  static constexpr bool kHalfSums = HalfSums;
  static constexpr int kRank = Rank;
  static constexpr int kSpl = Spl;
  static constexpr int kChannels = Channels;
  static constexpr int kTurns = Turns;
  static constexpr int kSegment = Segment;
  static constexpr int kTile = Tile;
  static constexpr int kStages = Stages;
  static constexpr int kConverters = Converters;
  static constexpr int kLanes = kOnePassStates / Spl;
  static constexpr int kGroups = 32 / kLanes;        // channels of a scan warp
  static constexpr int kTeams = Channels / kGroups;  // of warps that scan the same channels
  static constexpr int kScanThreads = 32 * kTeams * Turns;
  static constexpr int kThreads = kScanThreads + 32 * Converters;
  static constexpr int kPanels = Channels / kPanel;
  static constexpr int kWarpsOfPanel = Converters / kPanels;  // a warp keeps one panel's weights
  static constexpr int kUnits = Tile / 32 / kWarpsOfPanel;    // of 32 steps, for a warp
  // Whether the dt weights stay in shared memory, each converter's own: registers of 12 and 16
  // warps do not hold more.
  static constexpr bool kSharedWeights = Rank > 8 && kThreads > 256;
  // Tiles whose reads are under way: at its start a scan that makes decays ahead waits for two.
  static constexpr int kAhead = Spl == 2 ? 2 : 1;
  // What is summed in float16 is a sixteenth: 16 terms of float16's range do not leave it.
  static constexpr float kScale = HalfSums ? 1.0f / kOnePassStates : 1.0f;
  // Padded: 16-byte reads of eight channels' rows, and 4-byte writes along one, hit all banks.
  static constexpr int kRow = Tile + 4;
  static constexpr int kOutRow = Channels > 8 ? Channels + 8 : Channels;
  static_assert(Converters % kPanels == 0 && Tile % (32 * kWarpsOfPanel) == 0, "units");
  static_assert(!HalfSums || Spl == 2, "fewer than eight lanes gain nothing");
  static_assert(kUnits >= 1 && kScanThreads % 128 == 0, "warps for every scheduler");
  static_assert(Tile % (Turns * Segment) == 0 && Segment % kLanes == 0, "whole rounds of turns");
};

template <class C>
struct Stage {
  alignas(16) float bc[C::kTile * 2 * kOnePassStates];  // [step / 4][B, C][step % 4]
  alignas(16) float dt[C::kChannels * C::kRow];         // [channel][step], after softplus
  alignas(16) float du[C::kChannels * C::kRow];         // dt * u * kScale
  alignas(16) __half y[C::kTile * C::kOutRow];          // [step][channel]
};

template <class C>
struct Shared {
  Stage<C> stages[C::kStages];
  uint64_t full[C::kStages];
  uint64_t empty[C::kStages];
  uint64_t handed[C::kTurns][C::kTeams];  // the states of a warp to the next of its team:
  alignas(16) float states[C::kTurns][C::kTeams][32 * C::kSpl];
  alignas(16) float weights[C::kSharedWeights ? C::kConverters * kPanel * C::kRank : 4];
};

// Floats (B, then C) of a step.
constexpr int kStates2 = 2 * kOnePassStates;

// Arrivals that complete a stage: every converter's own, and those of the copies of B and C.
template <class C>
__device__ __forceinline__ constexpr int full_arrivals() {
  return 32 * C::kConverters + copy_arrivals<C::kConverters>();
}

// Stage and parity of a ring position that both sides count.
template <class C>
struct Cursor {
  int stage = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++stage == C::kStages) stage = 0, parity ^= 1;
  }
};

}  // namespace posemamba::cuda::split_channel
