// The designs of CrossSelectiveScan that take one launch, and their configurations, for the host.
#pragma once

#include <cstdint>

#include "cuda/device/launch.h"
#include "posemamba/scan.h"

namespace posemamba::cuda {

// How a configuration divides the channels, whatever the type and dt rank.
struct OnePassShape {
  int32_t channels;  // of a thread block
  int32_t threads;
};

// In the order pm_cuda_tuning::config counts them, after the chunked ones.
enum OnePass : int32_t {
  kWholeChannel = 0,    // lane_channel: a lane holds a channel's 16 states
  kFourStatesWide = 1,  // split_channel: 4 states a lane, 64 channels a block
  kFourStates = 2,      // the same, 32 channels
  kTwoStates = 3,       // 2 states a lane, 16 channels
  kInTurns = 4,         // 2 states a lane, 8 channels, four warps in turn
  kResident = 5,        // resident: 4 states a lane, 64 channels a block, two passes
  kHalfChannel = 6,     // lane_channel: two lanes hold 8 states each
  kOnePassConfigs = 7
};

constexpr OnePassShape kOnePassShapes[kOnePassConfigs] = {
    {128, 128}, {64, 512}, {32, 256}, {16, 256}, {8, 384}, {64, 512}, {64, 128}};

constexpr bool reads_prepared(int32_t config) {
  return config >= kFourStatesWide && config <= kResident;
}

// {nullptr, 0} where the configuration has no kernel for the type and dt rank. Where there is none
// with float16 sums, that with float32 sums does.
Kernel lane_channel_kernel(OnePass config, const pm_cross_scan_params& params);
// The same scan in longer tiles, whose shared memory an SM has for two blocks. {nullptr, 0} where
// it has none: take the other.
Kernel lane_channel_long_kernel(OnePass config, const pm_cross_scan_params& params);
Kernel split_channel_kernel(OnePass config, const pm_cross_scan_params& params);
Kernel resident_kernel(const pm_cross_scan_params& params);

}  // namespace posemamba::cuda
