// The sizes and walks of a problem as the launcher gives them to kernels.
#pragma once

#include <algorithm>

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

inline CrossArgs walk_args_of(const pm_cross_scan_params& p) {
  CrossArgs a{};
  a.steps = static_cast<int>(p.frames * p.joints);
  a.frames = static_cast<int>(p.frames), a.joints = p.joints, a.d_inner = p.d_inner;
  a.d_state = p.d_state, a.dt_rank = p.dt_rank, a.directions = p.directions;
  std::copy_n(p.order, PM_MAX_DIRECTIONS, a.order);
  std::copy_n(p.reverse, PM_MAX_DIRECTIONS, a.reverse);
  std::copy_n(p.limb_mask, PM_MAX_DIRECTIONS, a.limb_mask);
  std::copy_n(p.limb_index, p.joints, a.limb_index);
  return a;
}

}  // namespace posemamba::cuda
