#include "common/validate_backward.h"

#include "common/validate.h"

namespace posemamba {
namespace {

// Whether a count of numbers leaves room for what a workspace holds a few times over: no machine
// has so much memory, and sizes computed from it cannot overflow.
bool is_countable(int64_t a, int64_t b, int64_t c) {
  int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_mul_overflow(product, c, &product) &&
         product <= (int64_t{1} << 48);
}

}  // namespace

pm_status validate_layout(const pm_cross_scan_backward_params* params) {
  if (params == nullptr) return PM_NULL_POINTER;
  if (params->size != sizeof *params) return PM_BAD_STRUCT;
  // dy takes the place of y: another tensor of d_inner channels whose positions are a stride apart.
  pm_cross_scan_params forward = params->forward;
  forward.y_stride = params->dy_stride;
  const pm_status status = validate_layout(&forward);
  if (status != PM_OK) return status;
  const int64_t positions = forward.frames * forward.joints;
  if (!is_countable(forward.batch, positions, int64_t{forward.directions} * forward.d_inner)) {
    return PM_BAD_SHAPE;
  }
  const bool known =
      params->limb_gradient == PM_LIMB_TRUE || params->limb_gradient == PM_LIMB_OFFICIAL;
  return known ? PM_OK : PM_BAD_ORDER;
}

pm_status validate_layout(const pm_scan_backward_params* params) {
  if (params == nullptr) return PM_NULL_POINTER;
  if (params->size != sizeof *params) return PM_BAD_STRUCT;
  const pm_scan_params& p = params->forward;
  const pm_status status = validate_layout(&p);
  if (status != PM_OK) return status;
  const bool countable = is_countable(p.batch, p.length, int64_t{p.groups} * p.channels);
  return countable ? PM_OK : PM_BAD_SHAPE;
}

pm_status validate(const pm_cross_scan_backward_params* params) {
  const pm_status status = validate_layout(params);
  if (status != PM_OK) return status;
  const pm_cross_scan_params& p = params->forward;
  const bool read = p.x != nullptr && p.x_dbl != nullptr && p.dt_weight != nullptr &&
                    p.dt_bias != nullptr && p.A != nullptr && p.D != nullptr &&
                    params->dy != nullptr;
  const bool written = params->dx != nullptr && params->dx_dbl != nullptr &&
                       params->d_dt_weight != nullptr && params->d_dt_bias != nullptr &&
                       params->dA != nullptr && params->dD != nullptr;
  const bool limbs = params->limb_gradient == PM_LIMB_TRUE || params->dx_dbl_limb != nullptr;
  return read && written && limbs ? PM_OK : PM_NULL_POINTER;
}

pm_status validate(const pm_scan_backward_params* params) {
  const pm_status status = validate_layout(params);
  if (status != PM_OK) return status;
  const pm_scan_params& p = params->forward;
  const bool read = p.u != nullptr && p.delta != nullptr && p.A != nullptr && p.B != nullptr &&
                    p.C != nullptr && params->dy != nullptr;
  const bool written = params->du != nullptr && params->ddelta != nullptr &&
                       params->dA != nullptr && params->dB != nullptr && params->dC != nullptr;
  const bool optional = (p.D == nullptr || params->dD != nullptr) &&
                        (p.z == nullptr || params->dz != nullptr) &&
                        (p.delta_bias == nullptr || params->d_delta_bias != nullptr);
  return read && written && optional ? PM_OK : PM_NULL_POINTER;
}

}  // namespace posemamba
