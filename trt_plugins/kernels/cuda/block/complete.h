// What the launchers of the fused path ask of their pointers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

inline bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

inline bool on_16_bytes_all(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [](const void* p) { return p != nullptr && on_16_bytes(p); });
}

inline bool complete(const pm_conv_proj_params& p) {
  return on_16_bytes_all({p.x, p.weight, p.bias, p.projection, p.u, p.x_dbl}) && p.batch >= 1 &&
         p.batch <= 65535 && p.frames >= 1 && p.joints >= 1 && p.columns >= 16 &&
         p.columns % 16 == 0 && p.x_stride >= p.channels && p.x_stride % 8 == 0 &&
         p.frames <= INT32_MAX / p.joints / 2;
}

inline bool complete(const pm_next_params& next) {
  if (next.xz == nullptr) {
    return next.head_weight != nullptr && next.head_bias != nullptr && next.poses_3d != nullptr;
  }
  return on_16_bytes_all({next.in_proj, next.xz});
}

inline bool complete(const pm_block_tail_params& p) {
  const pm_cross_scan_params& s = p.scan;
  return s.x_dbl != nullptr && s.dt_weight != nullptr && s.dt_bias != nullptr && s.A != nullptr &&
         s.dtype == PM_FLOAT16 && s.d_inner == 2 * p.d_model && s.x_stride % 8 == 0 &&
         p.z_stride % 8 == 0 && p.z_stride >= s.d_inner && p.z_stride <= INT32_MAX &&
         on_16_bytes_all({s.x, p.z, p.vectors, p.out_proj, p.fc1, p.fc2, p.residual, p.stream}) &&
         on_16_bytes(p.position) && complete(p.next);
}

// Whether the scan reads what the convolution writes.
inline bool joined(const pm_conv_proj_params& conv, const pm_cross_scan_params& scan) {
  return scan.x == conv.u && scan.x_dbl == conv.x_dbl && scan.batch == conv.batch &&
         scan.frames == conv.frames && scan.joints == conv.joints &&
         scan.d_inner == conv.channels && scan.x_stride == conv.channels &&
         scan.x_dbl_stride == conv.columns &&
         conv.columns == scan.directions * (scan.dt_rank + 2 * scan.d_state);
}

}  // namespace posemamba::cuda
