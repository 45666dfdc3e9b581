#include "cuda/scan/backward/plan.h"

namespace posemamba::cuda::backward {
namespace {

// Four tiles: the workspace holds the states of every 16th step, and six blocks fit an SM of 228
// KB.
constexpr int32_t kTiles = 4;

bool is_power_of_two(int32_t value) { return (value & (value - 1)) == 0; }

// How many tiles a chunk has, 0 for a tuning that there is not.
int32_t tiles_of(const pm_cuda_tuning* tuning) {
  if (tuning == nullptr) return kTiles;
  if (tuning->variant != PM_CUDA_AUTO || tuning->chunks != 0 || tuning->config < 0 ||
      tuning->config > kMostTiles || !is_power_of_two(tuning->config)) {
    return 0;
  }
  return tuning->config == 0 ? kTiles : tuning->config;
}

}  // namespace

Plan make_plan(const Sizes& sizes, const pm_cuda_tuning* tuning, const Device& device) {
  Plan plan{};
  const int32_t tiles = tiles_of(tuning);
  if (tiles == 0 || sizes.steps > INT32_MAX / 2) return plan;
  int warp_channels = 0;
  with_shape(sizes.d_state, [&](auto shape) {
    using S = typename decltype(shape)::type;
    warp_channels = S::kChannels;
    plan.states = S::kStates;
  });
  plan.warps = sizes.channels > warp_channels ? kMostWarps : 1;
  plan.layout = make_layout(plan.states, warp_channels, plan.warps, tiles, sizes.rank);
  while (plan.warps > 1 && plan.gradient_bytes() > device.shared_bytes) {
    plan.warps /= 2;
    plan.layout = make_layout(plan.states, warp_channels, plan.warps, tiles, sizes.rank);
  }
  const int channels = plan.warps * warp_channels;
  plan.blocks_per_row = (sizes.channels + channels - 1) / channels;
  const int64_t steps = plan.layout.steps;
  plan.chunks = static_cast<int>((sizes.steps + steps - 1) / steps);
  const int64_t each = int64_t{plan.chunks} * plan.blocks_per_row;
  plan.valid = plan.gradient_bytes() <= device.shared_bytes && sizes.rows <= INT32_MAX / each &&
               blocks_for(sizes.rows * sizes.channels * plan.states) <= INT32_MAX &&
               sizes.channels <= INT32_MAX / PM_MAX_DT_RANK;  // a group's weights count in 32 bits
  plan.blocks = sizes.rows * each;
  return plan;
}

}  // namespace posemamba::cuda::backward
