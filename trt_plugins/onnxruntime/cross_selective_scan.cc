#include "cross_selective_scan.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kX, kXDbl, kWeights };
}

Status* CrossTensors::read(const Api* api, const KernelContext* context) {
  const char* op = CrossSelectiveScan::kName;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kX, 4, op, &x));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXDbl, 4, op, &x_dbl));
  return read_weights(api, context, op, kWeights);
}

Status* CrossTensors::read_weights(const Api* api, const KernelContext* context, const char* op,
                                   size_t first) {
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first, 3, op, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + 1, 2, op, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + 2, 3, op, &A));
  return read_input(api, context, first + 3, 2, op, &D);
}

Status* CrossTensors::check(const Api* api, const char* op, int64_t k, int64_t d_state,
                            int64_t dt_rank) const {
  const int64_t inner = x.dims[3];
  const bool grids_agree =
      x.dims[0] == x_dbl.dims[0] && x.dims[1] == x_dbl.dims[1] && x.dims[2] == x_dbl.dims[2];
  if (!grids_agree || x_dbl.dims[3] != k * (dt_rank + 2 * d_state)) {
    return invalid(api, op, "x_dbl must be [batch, frames, joints, K * (dt_rank + 2 * d_state)]");
  }
  if (!dt_weight.is({k, inner, dt_rank}) || !dt_bias.is({k, inner}) || !A.is({k, inner, d_state}) ||
      !D.is({k, inner})) {
    return invalid(
        api, op, "dt_weight, dt_bias, A or D does not match x, the directions and the attributes");
  }
  return nullptr;
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
  CrossTensors given;
  PM_ORT_RETURN_IF_ERROR(given.read(api, context));
  PM_ORT_RETURN_IF_ERROR(fill(kName, given, params));
  return make_output(api, context, 0, given.x.dims, given.x.rank, &params->y);
}

Status* CrossSelectiveScan::fill(const char* op, const CrossTensors& given, Params* params) const {
  PM_ORT_RETURN_IF_ERROR(given.check(api, op, node.directions, node.d_state, node.dt_rank));
  const auto& grid = given.x.dims;
  if (static_cast<int64_t>(limb_count) != grid[2]) {
    return invalid(api, op, "limb_index must have one entry for each joint of x");
  }
  *params = node;
  given.place(params);
  params->frames = grid[1];
  params->joints = static_cast<int32_t>(grid[2]);
  return nullptr;
}

}  // namespace posemamba::ort
