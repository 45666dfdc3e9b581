// Configuration and shared memory of the split-channel design.
#pragma once

#include "cuda/scan/split_channel/copies.cuh"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda::split_channel {

// Spl         states a lane holds: 16 / Spl lanes share a channel
// Channels    channels of a thread block
// Tile        steps of a shared-memory stage
// Stages      stages of the ring
// Converters  warps that read, convert and project the tiles ahead and store the outputs behind
// Streams     1, or 2 parts of the sequence that a block walks at once (streams.cuh), each with a
//             ring, scan warps and converters of its own
template <int Rank, int Spl, int Channels, int Tile, int Stages, int Converters, int Streams = 1>
struct Config {
  static constexpr int kRank = Rank;
  static constexpr int kSpl = Spl;
  static constexpr int kChannels = Channels;
  static constexpr int kTile = Tile;
  static constexpr int kStages = Stages;
  static constexpr int kConverters = Converters;
  static constexpr int kStreams = Streams;
  static constexpr int kLanes = kOnePassStates / Spl;
  static constexpr int kGroups = 32 / kLanes;             // channels of a scan warp
  static constexpr int kScanThreads = Channels * kLanes;  // of a stream
  static constexpr int kThreads = Streams * (kScanThreads + 32 * Converters);
  static constexpr int kPart = Channels < kPanel ? Channels : kPanel;  // channels of a panel here
  static constexpr int kPanels = Channels / kPart;
  static constexpr int kWarpsOfPanel = Converters / kPanels;  // a warp keeps one panel's weights
  static constexpr int kUnits = Tile / 32 / kWarpsOfPanel;    // of 32 steps, for a warp
  // Whether the dt weights stay in shared memory: registers of 16 warps do not hold more.
  static constexpr bool kSharedWeights = Rank > 8 && kThreads == 512;
  // Padded: 16-byte reads of eight channels' rows, and 4-byte writes along one, hit all banks.
  static constexpr int kRow = Tile + 4;
  static constexpr int kOutRow = Channels > 8 ? Channels + 8 : Channels;
  static_assert(Converters % kPanels == 0 && Tile % (32 * kWarpsOfPanel) == 0, "units");
  static_assert(!kSharedWeights || (kWarpsOfPanel == 1 && Streams == 1), "each of one warp");
  static_assert(kUnits >= 1 && Streams * kScanThreads % 128 == 0, "warps for every scheduler");
  static_assert(Streams == 1 || Spl == 1, "a lane has one state to hand on");
};

template <class C>
struct Stage {
  alignas(16) float bc[C::kTile * 2 * kOnePassStates];  // [step / 4][B, C][step % 4]
  alignas(16) float dt[C::kChannels * C::kRow];         // [channel][step], after softplus
  alignas(16) float du[C::kChannels * C::kRow];         // dt * u
  alignas(16) __half y[C::kTile * C::kOutRow];          // [step][channel]
};

template <class C>
struct Ring {
  Stage<C> stages[C::kStages];
  uint64_t full[C::kStages];
  uint64_t empty[C::kStages];
  alignas(16) float weights[C::kSharedWeights ? C::kChannels * C::kRank : 4];
};

// What the second of two streams needs: the first's states where the second began, and its own sums
// of dt since, by converter warp.
template <class C>
struct Meeting {
  float state[C::kStreams > 1 ? C::kScanThreads : 1];
  float sums[C::kConverters][C::kPart];
  uint64_t known;  // the states are there
};

template <class C>
struct Shared {
  Ring<C> rings[C::kStreams];
  Meeting<C> meeting;
};

// Floats (B, then C) of a step.
constexpr int kStates2 = 2 * kOnePassStates;

// Arrivals that complete a stage: every converter's own, and those of the copies of B and C.
template <class C>
__device__ __forceinline__ constexpr int full_arrivals() {
  return 32 * C::kConverters + (kBulkCopies ? 1 : 32 * C::kConverters);
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
