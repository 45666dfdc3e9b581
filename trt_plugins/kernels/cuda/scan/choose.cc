#include "cuda/scan/choose.h"

#include <algorithm>

#include "cuda/scan/chunked/config_list.h"
#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/resident/plan.h"

namespace posemamba::cuda {
namespace {

constexpr int32_t kStates = 16;
// Thread blocks an SM, beyond which a design that splits channels is not worth its workspace: there
// the lane-channel design is faster.
constexpr int64_t kMostSplitBlocks = 2;
constexpr int32_t kMostSms = 256;  // a larger device is planned for as this one

int32_t size_of(int32_t dtype) { return dtype == PM_FLOAT16 ? 2 : 4; }

int64_t blocks_of(int32_t config, const pm_cross_scan_params& p) {
  const int32_t channels = kOnePassShapes[config].channels;
  return p.batch * p.directions * int64_t{(p.d_inner + channels - 1) / channels};
}

Kernel kernel_of(int32_t config, const pm_cross_scan_params& p) {
  if (config == kResident) return resident_kernel(p);
  const auto one_pass = static_cast<OnePass>(config);
  return reads_prepared(config) ? split_channel_kernel(one_pass, p)
                                : lane_channel_kernel(one_pass, p);
}

bool takes(int32_t config, const pm_cross_scan_params& p, const Device& device) {
  const Kernel kernel = kernel_of(config, p);
  if (reads_prepared(config) &&
      blocks_of(config, p) > kMostSplitBlocks * std::min(device.multiprocessors, kMostSms)) {
    return false;
  }
  if (config == kResident && resident_division(p, device).chunks == 0) return false;
  return kernel.function != nullptr && kernel.shared <= device.shared_bytes &&
         p.d_state == kStates && p.x_stride % (16 / size_of(p.dtype)) == 0 &&
         p.x_dbl_stride % 4 == 0;
}

// Blocks in percent of the SMs, between which a split-channel design with a block to itself on most
// SMs beats the chunked one; below, too many SMs idle.
constexpr int64_t kLeastFill = 72;
constexpr int64_t kFull = 100;
// Two states a lane may put two blocks on an SM, where four states have no kernel.
constexpr int64_t kLeastTwice = 140;
// Up to so many steps a second launch or pass costs more than idle SMs do, and from so many on a
// preparing kernel pays.
constexpr int64_t kShort = 700;
constexpr int64_t kLeastSteps = 128;
// The lane-channel design starts on an empty GPU alone, the chunked one beside its predecessor: in
// float16 the blocks of an SM are weighed from so many steps on. L's blocks of 16 clips gain 2 us
// by that at 459 steps and lose 6 at 153.
constexpr int64_t kLeastLaneSteps = 400;
// Else the lane-channel design needs two blocks on every SM, and the same number on each: percent.
constexpr int64_t kLeastWhole = 180;
constexpr int64_t kBalance = 93;

// Where whoever computes the rows prepares them, four states a lane pay on fewer SMs too.
constexpr int64_t kLeastPrepared = 54;

// What one, two and three blocks of a lane-channel configuration take on an SM that holds them at
// once, in percent of two of kHalfChannel (dt ranks 4 to 16 agree within 4 %).
struct Rounds {
  OnePass config;
  int32_t percent[3];
};
constexpr Rounds kLaneChannel[] = {{kHalfChannel, {67, 100, 150}},
                                   {kWholeChannel, {119, 184, 272}}};

int64_t cost_of(const Rounds& rounds, int64_t blocks_of_sm) {
  const int64_t rest = blocks_of_sm % 3;
  return blocks_of_sm / 3 * rounds.percent[2] + (rest == 0 ? 0 : rounds.percent[rest - 1]);
}

// The lane-channel configuration for a problem in float16 whose channels give every SM a block of
// kHalfChannel and some a second one: beside it the chunked design is only faster up to half as
// many channels as a block has, for which it has smaller blocks. -1: none.
int32_t lane_channel_for(const pm_cross_scan_params& p, const Device& device) {
  const int64_t sms = device.multiprocessors;
  if (p.d_inner <= kOnePassShapes[kHalfChannel].channels / 2 || !takes(kHalfChannel, p, device) ||
      blocks_of(kHalfChannel, p) <= sms) {
    return -1;
  }
  int32_t best = -1;
  int64_t least = 0;
  for (const Rounds& rounds : kLaneChannel) {
    if (2 * kernel_of(rounds.config, p).shared > device.shared_bytes) continue;
    const int64_t cost = cost_of(rounds, (blocks_of(rounds.config, p) + sms - 1) / sms);
    if (best < 0 || cost < least) best = rounds.config, least = cost;
  }
  return best;
}

int32_t automatic(const pm_cross_scan_params& p, bool prepared, const Device& device) {
  const int64_t sms = device.multiprocessors;
  const auto fill = [&](int32_t config) { return 100 * blocks_of(config, p) / sms; };
  const auto usable = [&](int32_t config) { return takes(config, p, device); };
  // Two blocks of an SM share what one of them could have.
  const auto two_fit = [&](int32_t config) {
    return 2 * kernel_of(config, p).shared <= device.shared_bytes;
  };
  const int64_t steps = p.frames * p.joints;
  const bool half = p.dtype == PM_FLOAT16;
  if (half && steps >= kLeastLaneSteps) {
    const int32_t lanes = lane_channel_for(p, device);
    if (lanes >= 0) return lanes;
  } else if ((half || p.dt_rank <= 8) && usable(kWholeChannel) && two_fit(kWholeChannel) &&
             fill(kWholeChannel) >= kLeastWhole) {
    // float32 rows of rank 16 leave the lane-channel design too few registers to be faster.
    const int64_t blocks = blocks_of(kWholeChannel, p);
    const int64_t each = (blocks + sms - 1) / sms;
    if (100 * blocks >= kBalance * each * sms) return kWholeChannel;
  }
  if (steps < kLeastSteps) return -1;
  for (const int32_t config : {kFourStatesWide, kFourStates, kTwoStates, kInTurns}) {
    if (!usable(config)) continue;
    const int64_t percent = fill(config);
    if (percent >= kLeastFill && percent <= kFull) return config;
    if (prepared && config == kFourStatesWide && percent >= kLeastPrepared && percent <= kFull) {
      return config;
    }
    if (config == kTwoStates && two_fit(config) && percent >= kLeastTwice && percent <= 2 * kFull) {
      return config;
    }
    if (config == kInTurns && percent <= kFull && steps <= kShort) return config;
  }
  const bool resident =
      usable(kResident) && 100 * resident_division(p, device).blocks() >= kLeastFill * sms;
  return resident ? kResident : -1;
}

}  // namespace

std::size_t prepared_limit(const pm_cross_scan_params& largest) {
  pm_cross_scan_params p = largest;
  std::size_t limit = 0;
  for (int32_t config = 0; config < kOnePassConfigs; ++config) {
    if (!reads_prepared(config) || p.d_state != kStates ||
        kernel_of(config, p).function == nullptr) {
      continue;
    }
    p.batch = 1;
    p.batch = std::min(largest.batch, kMostSplitBlocks * kMostSms / blocks_of(config, p));
    if (p.batch > 0) limit = std::max(limit, split_channel::prepared_bytes(p));
  }
  return limit + resident::exchange_limit(largest, kMostSms);
}

resident::Division resident_division(const pm_cross_scan_params& p, const Device& device) {
  return resident::divide(p, std::min(device.multiprocessors, kMostSms));
}

bool reads_aligned(const pm_cross_scan_params& p) {
  return reinterpret_cast<uintptr_t>(p.x) % 16 == 0 &&
         reinterpret_cast<uintptr_t>(p.x_dbl) % static_cast<unsigned>(4 * size_of(p.dtype)) == 0;
}

Problem problem_of(const pm_cross_scan_params& p) {
  return {p.batch * p.directions, p.d_inner, static_cast<int32_t>(p.frames * p.joints), p.d_state,
          true};
}

Choice choose(const pm_cross_scan_params& p, const pm_cuda_tuning* tuning, const Device& device) {
  const pm_cuda_tuning ask = tuning == nullptr ? pm_cuda_tuning{} : *tuning;
  Choice choice{};
  choice.one_pass = choice.prepared = -1;
  if (ask.config > kConfigs) {  // one-pass, by name
    choice.one_pass = ask.config - kConfigs - 1;
    choice.forced = true;
    choice.valid = choice.one_pass < kOnePassConfigs && takes(choice.one_pass, p, device) &&
                   (ask.variant == PM_CUDA_AUTO || ask.variant == PM_CUDA_SERIAL) &&
                   (ask.chunks == 0 || ask.chunks == 1);
    choice.chunked.chunks = 1;
    return choice;
  }
  choice.chunked = make_plan(problem_of(p), &ask, device.multiprocessors);
  choice.valid = choice.chunked.config >= 0;
  const bool free = ask.config == 0 && ask.variant == PM_CUDA_AUTO && ask.chunks == 0;
  if (free && choice.valid) {
    choice.one_pass = automatic(p, false, device);
    const int32_t prepared = automatic(p, true, device);
    choice.prepared = reads_prepared(prepared) ? prepared : -1;
  }
  return choice;
}

}  // namespace posemamba::cuda
