#include "cuda/scan/backward/plan.h"

namespace posemamba::cuda::backward {
namespace {

// There is one way to run: a tuning may ask for nothing else.
bool is_automatic(const pm_cuda_tuning* tuning) {
  return tuning == nullptr ||
         (tuning->variant == PM_CUDA_AUTO && tuning->chunks == 0 && tuning->config == 0);
}

}  // namespace

Plan make_plan(const Sizes& sizes, const pm_cuda_tuning* tuning, const Device& device) {
  Plan plan{};
  if (!is_automatic(tuning) || sizes.steps > INT32_MAX / 2) return plan;
  int warp_channels = 0;
  with_shape(sizes.d_state, [&](auto shape) {
    using S = typename decltype(shape)::type;
    warp_channels = S::kChannels;
    plan.states = S::kStates;
  });
  // No more warps than have channels, nor than there is shared memory for.
  plan.warps = 1;
  while (plan.warps < kMostWarps && plan.warps * warp_channels < sizes.channels) plan.warps *= 2;
  plan.layout = make_layout(plan.states, warp_channels, plan.warps, sizes.rank);
  while (plan.warps > 1 && plan.gradient_bytes() > device.shared_bytes) {
    plan.warps /= 2;
    plan.layout = make_layout(plan.states, warp_channels, plan.warps, sizes.rank);
  }
  const int channels = plan.warps * warp_channels;
  plan.blocks_per_row = (sizes.channels + channels - 1) / channels;
  plan.chunks = static_cast<int>((sizes.steps + kSteps - 1) / kSteps);
  const int64_t each = int64_t{plan.chunks} * plan.blocks_per_row;
  plan.valid = plan.gradient_bytes() <= device.shared_bytes && sizes.rows <= INT32_MAX / each &&
               blocks_for(sizes.rows * sizes.channels * plan.states) <= INT32_MAX &&
               sizes.channels <= INT32_MAX / PM_MAX_DT_RANK;  // a group's weights count in 32 bits
  plan.blocks = sizes.rows * each;
  return plan;
}

}  // namespace posemamba::cuda::backward
