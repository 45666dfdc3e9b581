// Threads and shared memory of a block of the resident design.
#pragma once

#include "cuda/scan/one_pass.cuh"
#include "cuda/scan/split_channel/prepared.h"
#include "cuda/scan/split_channel/resident/plan.h"

namespace posemamba::cuda::resident {

using split_channel::kPanel;
using split_channel::Prepared;

constexpr int kStates2 = 2 * kOnePassStates;  // floats (B, then C) of a step
constexpr int kQuad = 4;                      // steps that a lane reads at once

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kSpl = 4;  // states of a lane
constexpr int kLanes = kOnePassStates / kSpl;
constexpr int kGroups = 32 / kLanes;  // channels of a warp
// The chunk is cut once more, for so many threads have all channels.
constexpr int kSubThreads = kChannels * kLanes;
constexpr int kSubs = kThreads / kSubThreads;
constexpr int kBody = 2;  // quads of a loop body

constexpr int kPanels = kChannels / kPanel;
constexpr int kWarpsOfPanel = kWarps / kPanels;
constexpr int kUnit = 32 * kWarpsOfPanel;  // steps that the warps convert at once
constexpr int kUnits = (kCapacity + kUnit - 1) / kUnit;

// Padded: 16-byte reads of eight channels' rows, and 4-byte writes along one, hit all banks.
constexpr int kRow = kCapacity + 4;
constexpr int kEndRow = kOnePassStates + 1;  // so do those of the states of eight channels

// A thread has so many states of a channel when states of chunks are put together.
constexpr int kFolded = kChannels * kOnePassStates / kThreads;
constexpr int kFolders = kOnePassStates / kFolded;  // threads of a channel

static_assert(kRow / 4 % 2 == 1 && kWarps % kPanels == 0 && kThreads % kSubThreads == 0, "layout");

struct Shared {
  alignas(16) float bc[kCapacity * kStates2];  // [step / 4][B, C][step % 4]
  alignas(16) float dt[kChannels * kRow];      // [channel][step], after softplus
  alignas(16) float du[kChannels * kRow];      // dt * u
  // States that a sub-chunk ends with, beginning with none; then those that it begins with.
  float ends[kSubs][kChannels * kEndRow];
  float sums[kSubs][kChannels];  // of dt
  uint64_t copied;               // whether B and C are there
};

// Steps [begin, begin + 4 * quads) of a direction.
struct Chunk {
  int begin;
  int quads;

  __device__ __forceinline__ int first_quad(int sub) const { return quads * sub / kSubs; }
};

}  // namespace posemamba::cuda::resident
