// Kernel configurations: how a thread block divides channels, states and steps among its threads.
#pragma once

namespace posemamba::cuda {

// States      states held per channel (d_state padded with zeros up to it), four per lane, so
//             States / 4 lanes share a channel
// Cpt         channels per lane; B and C, once loaded, serve all of them
// Channels    channels per thread block
// Producers   warps that gather and convert the next tile while the others scan this one
// Blocks      thread blocks an SM must be able to hold (caps the registers)
template <int States, int Cpt, int Channels, int Producers, int Blocks>
struct Config {
  static constexpr int kStates = States;
  static constexpr int kSpl = 4;
  static constexpr int kCpt = Cpt;
  static constexpr int kChannels = Channels;
  static constexpr int kProducers = Producers;
  static constexpr int kMinBlocks = Blocks;
  static constexpr int kTile = 32;              // steps per shared-memory stage
  static constexpr int kLanes = States / kSpl;  // lanes of one channel group
  static constexpr int kScanThreads = Channels / Cpt * kLanes;
  static constexpr int kThreads = kScanThreads + 32 * Producers;
  static constexpr int kBlock = kLanes > 8 ? kLanes : 8;  // steps per register block
  static constexpr int kRow = kTile + 4;         // padded: float4 reads of 8 rows hit 32 banks
  static constexpr int kBcRow = 2 * States + 4;  // the same for the B and C of one step
  static_assert(States % kSpl == 0 && kLanes <= 32 && kScanThreads % 32 == 0, "lane layout");
  static_assert(kTile % kBlock == 0 && kBlock % kLanes == 0, "step layout");
};

}  // namespace posemamba::cuda
