#include "common/validate.h"

#include <initializer_list>

namespace posemamba {
namespace {

bool in_range(int64_t value, int64_t low, int64_t high) { return value >= low && value <= high; }

bool is_flag(int32_t value) { return value == 0 || value == 1; }

bool is_dtype(int32_t value) { return value == PM_FLOAT32 || value == PM_FLOAT16; }

// Whether a * b * c bytes (times 8, the widest element with room to spare) fit in int64.
bool product_fits(int64_t a, int64_t b, int64_t c) {
  int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_mul_overflow(product, c, &product) &&
         !__builtin_mul_overflow(product, int64_t{8}, &product);
}

pm_status check_directions(const pm_cross_scan_params& p) {
  bool any_limb = false;
  for (int32_t k = 0; k < p.directions; ++k) {
    if (!in_range(p.order[k], PM_FRAME_MAJOR, PM_JOINT_MAJOR_FLIPPED) || !is_flag(p.reverse[k]) ||
        !is_flag(p.limb_mask[k])) {
      return PM_BAD_ORDER;
    }
    any_limb = any_limb || p.limb_mask[k] != 0;
  }
  for (int32_t j = 0; any_limb && j < p.joints; ++j) {
    if (!in_range(p.limb_index[j], 0, p.joints - 1)) return PM_BAD_ORDER;
  }
  return PM_OK;
}

pm_status check_scan(const pm_scan_params& p, int32_t most_states, int64_t least_length) {
  if (!is_dtype(p.dtype)) return PM_BAD_DTYPE;
  if (p.batch < 1 || p.length < least_length || p.channels < 1 ||
      !in_range(p.groups, 1, PM_MAX_DIRECTIONS) || !in_range(p.d_state, 1, most_states)) {
    return PM_BAD_SHAPE;
  }
  const int64_t channels = int64_t{p.groups} * p.channels;
  if (channels > INT32_MAX || !product_fits(p.batch, channels, p.length) ||
      !product_fits(p.batch, int64_t{p.groups} * p.d_state, p.length)) {
    return PM_BAD_SHAPE;
  }
  if (!is_flag(p.delta_softplus)) return PM_BAD_ORDER;
  for (int32_t g = 0; g < p.groups; ++g) {
    if (!is_flag(p.reverse[g])) return PM_BAD_ORDER;
  }
  return PM_OK;
}

// Tensors of no steps may be nowhere.
bool is_complete(const pm_scan_params& p) {
  return p.A != nullptr && (p.length == 0 || (p.u != nullptr && p.delta != nullptr &&
                                              p.B != nullptr && p.C != nullptr && p.y != nullptr));
}

}  // namespace

pm_status validate_layout(const pm_cross_scan_params* params) {
  if (params == nullptr) return PM_NULL_POINTER;
  const pm_cross_scan_params& p = *params;
  if (!is_dtype(p.dtype)) return PM_BAD_DTYPE;
  if (!is_flag(p.half_sums)) return PM_BAD_ORDER;
  if (p.half_sums != 0 && p.dtype != PM_FLOAT16) return PM_BAD_DTYPE;
  if (p.batch < 1 || p.frames < 1 || p.d_inner < 1 || !in_range(p.joints, 1, PM_MAX_JOINTS) ||
      !in_range(p.d_state, 1, PM_MAX_STATE) || !in_range(p.dt_rank, 1, PM_MAX_DT_RANK) ||
      !in_range(p.directions, 1, PM_MAX_DIRECTIONS)) {
    return PM_BAD_SHAPE;
  }
  const int64_t row = int64_t{p.directions} * (p.dt_rank + 2 * int64_t{p.d_state});
  if (p.x_stride < p.d_inner || p.y_stride < p.d_inner || p.x_dbl_stride < row) {
    return PM_BAD_STRIDE;
  }
  int64_t positions = 0;
  if (__builtin_mul_overflow(p.frames, int64_t{p.joints}, &positions) ||
      !product_fits(p.batch, positions, p.x_stride) ||
      !product_fits(p.batch, positions, p.y_stride) ||
      !product_fits(p.batch, positions, p.x_dbl_stride) ||
      // The workspace holds at most `directions` float rows of padded channels a position.
      !product_fits(p.batch, positions, (int64_t{p.d_inner} + 64) * p.directions)) {
    return PM_BAD_SHAPE;
  }
  return check_directions(p);
}

pm_status validate_layout(const pm_scan_params* params) {
  return params == nullptr ? PM_NULL_POINTER : check_scan(*params, PM_MAX_STATE, 1);
}

pm_status validate_layout(const pm_stateful_scan_params* params) {
  if (params == nullptr) return PM_NULL_POINTER;
  const pm_scan_params& p = params->scan;
  const pm_status status = check_scan(p, PM_MAX_WIDE_STATE, 0);
  const bool fits =
      status != PM_OK || product_fits(p.batch, int64_t{p.groups} * p.channels, p.d_state);
  return fits ? status : PM_BAD_SHAPE;
}

pm_status validate_layout(const pm_indexed_scan_params* params) {
  if (params == nullptr) return PM_NULL_POINTER;
  const pm_indexed_scan_params& p = *params;
  if (!is_dtype(p.dtype)) return PM_BAD_DTYPE;
  if (p.batch < 1 || p.positions < 1 || p.steps < 1 || p.d_inner < 1 || p.positions > INT32_MAX ||
      p.steps > INT32_MAX || !in_range(p.d_state, 1, PM_MAX_WIDE_STATE) ||
      !in_range(p.dt_rank, 1, PM_MAX_DT_RANK) || !in_range(p.directions, 1, PM_MAX_DIRECTIONS)) {
    return PM_BAD_SHAPE;
  }
  const int64_t row = int64_t{p.directions} * (p.dt_rank + 2 * int64_t{p.d_state});
  if (p.x_stride < p.d_inner || p.y_stride < p.d_inner || p.x_dbl_stride < row) {
    return PM_BAD_STRIDE;
  }
  const bool fits = product_fits(p.batch, p.positions, p.x_stride) &&
                    product_fits(p.batch, p.positions, p.y_stride) &&
                    product_fits(p.batch, p.positions, p.x_dbl_stride) &&
                    product_fits(p.batch, p.positions, (int64_t{p.d_inner} + 64) * p.directions);
  return fits ? PM_OK : PM_BAD_SHAPE;
}

pm_status validate_tables(const pm_indexed_scan_params& p) {
  for (int32_t k = 0; p.reset_length != nullptr && k < p.directions; ++k) {
    if (p.reset_length[k] < 0) return PM_BAD_ORDER;
  }
  const int64_t entries = p.directions * p.steps;
  for (const int32_t* table : {p.scan_index, p.neighbour_index}) {
    for (int64_t i = 0; table != nullptr && i < entries; ++i) {
      if (table[i] < -1 || table[i] >= p.positions) return PM_BAD_ORDER;
    }
  }
  return PM_OK;
}

pm_status validate(const pm_cross_scan_params* params) {
  const pm_status status = validate_layout(params);
  if (status != PM_OK) return status;
  const pm_cross_scan_params& p = *params;
  const bool complete = p.x != nullptr && p.x_dbl != nullptr && p.dt_weight != nullptr &&
                        p.dt_bias != nullptr && p.A != nullptr && p.D != nullptr && p.y != nullptr;
  return complete ? PM_OK : PM_NULL_POINTER;
}

pm_status validate(const pm_indexed_scan_params* params) {
  const pm_status status = validate_layout(params);
  if (status != PM_OK) return status;
  const pm_indexed_scan_params& p = *params;
  const bool complete = p.x != nullptr && p.x_dbl != nullptr && p.dt_weight != nullptr &&
                        p.dt_bias != nullptr && p.A != nullptr && p.D != nullptr &&
                        p.scan_index != nullptr && p.y != nullptr;
  return complete ? PM_OK : PM_NULL_POINTER;
}

pm_status validate(const pm_scan_params* params) {
  const pm_status status = validate_layout(params);
  return status != PM_OK || is_complete(*params) ? status : PM_NULL_POINTER;
}

pm_status validate(const pm_stateful_scan_params* params) {
  const pm_status status = validate_layout(params);
  return status != PM_OK || is_complete(params->scan) ? status : PM_NULL_POINTER;
}

}  // namespace posemamba

extern "C" const char* pm_status_string(pm_status status) {
  switch (status) {
    case PM_OK:
      return "ok";
    case PM_NULL_POINTER:
      return "a required pointer is null";
    case PM_BAD_SHAPE:
      return "a size is zero, negative or beyond its limit";
    case PM_BAD_STRIDE:
      return "a position stride is smaller than the row it steps over";
    case PM_BAD_ORDER:
      return "an order code, flag, index of a table or reset length is out of range";
    case PM_BAD_DTYPE:
      return "the dtype is neither float32 nor float16, or half_sums was asked of float32";
    case PM_UNSUPPORTED:
      return "this back end cannot run these parameters";
    case PM_BAD_STRUCT:
      return "the struct is of another build of this library";
  }
  return "unknown status";
}
