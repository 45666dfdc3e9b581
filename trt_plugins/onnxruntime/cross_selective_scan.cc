#include "cross_selective_scan.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kX, kXDbl, kDtWeight, kDtBias, kA, kD };
}

Status* CrossSelectiveScan::read(const KernelInfo* info) {
  node = Params{};
  node.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "d_state", &node.d_state));
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "dt_rank", &node.dt_rank));
  size_t directions = 0;
  PM_ORT_RETURN_IF_ERROR(read_ints(api, info, "order", node.order, PM_MAX_DIRECTIONS, &directions));
  if (directions == 0) return invalid(api, kName, "attribute 'order' has no entries");
  PM_ORT_RETURN_IF_ERROR(
      read_ints(api, info, "reverse", node.reverse, PM_MAX_DIRECTIONS, &directions));
  PM_ORT_RETURN_IF_ERROR(
      read_ints(api, info, "limb_mask", node.limb_mask, PM_MAX_DIRECTIONS, &directions));
  node.directions = static_cast<int32_t>(directions);
  limb_count = 0;
  PM_ORT_RETURN_IF_ERROR(
      read_ints(api, info, "limb_index", node.limb_index, PM_MAX_JOINTS, &limb_count));
  if (!has_int(api, info, "half_sums")) return nullptr;
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "half_sums", &node.half_sums));
  if (node.half_sums > 1) return invalid(api, kName, "attribute 'half_sums' takes 0 or 1");
  if (node.half_sums == 1 && dtype != PM_FLOAT16) {
    return invalid(api, kName, "attribute 'half_sums' is for float16 activations");
  }
  return nullptr;
}

Status* CrossSelectiveScan::bind(KernelContext* context, Params* params) const {
  Tensor x, x_dbl, dt_weight, dt_bias, A, D;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kX, 4, kName, &x));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXDbl, 4, kName, &x_dbl));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtWeight, 3, kName, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtBias, 2, kName, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kA, 3, kName, &A));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kD, 2, kName, &D));

  PM_ORT_RETURN_IF_ERROR(fill(kName, x, x_dbl, dt_weight, dt_bias, A, D, params));
  return make_output(api, context, 0, x.dims, x.rank, &params->y);
}

Status* CrossSelectiveScan::fill(const char* op, const Tensor& x, const Tensor& x_dbl,
                                 const Tensor& dt_weight, const Tensor& dt_bias, const Tensor& A,
                                 const Tensor& D, Params* params) const {
  const int64_t k = node.directions, inner = x.dims[3], n = node.d_state, r = node.dt_rank;
  const bool grids_agree =
      x.dims[0] == x_dbl.dims[0] && x.dims[1] == x_dbl.dims[1] && x.dims[2] == x_dbl.dims[2];
  if (!grids_agree || x_dbl.dims[3] != k * (r + 2 * n)) {
    return invalid(api, op, "x_dbl must be [batch, frames, joints, K * (dt_rank + 2 * d_state)]");
  }
  if (!dt_weight.is({k, inner, r}) || !dt_bias.is({k, inner}) || !A.is({k, inner, n}) ||
      !D.is({k, inner})) {
    return invalid(api, op, "dt_weight, dt_bias, A or D does not match x and the attributes");
  }
  if (static_cast<int64_t>(limb_count) != x.dims[2]) {
    return invalid(api, op, "limb_index must have one entry for each joint of x");
  }

  Params& filled = *params;
  filled = node;
  filled.x = x.data;
  filled.x_dbl = x_dbl.data;
  filled.dt_weight = dt_weight.floats();
  filled.dt_bias = dt_bias.floats();
  filled.A = A.floats();
  filled.D = D.floats();
  filled.batch = x.dims[0];
  filled.frames = x.dims[1];
  filled.joints = static_cast<int32_t>(x.dims[2]);
  filled.d_inner = static_cast<int32_t>(inner);
  filled.x_stride = inner;
  filled.x_dbl_stride = x_dbl.dims[3];
  filled.y_stride = inner;
  return nullptr;
}

}  // namespace posemamba::ort
