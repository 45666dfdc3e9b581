#include "cross_selective_scan.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kX, kXDbl, kDtWeight, kDtBias, kA, kD };
}

Status* CrossSelectiveScan::Read(const KernelInfo* info) {
  node = pm_cross_scan_params{};
  node.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(ReadInt(api, info, "d_state", &node.d_state));
  PM_ORT_RETURN_IF_ERROR(ReadInt(api, info, "dt_rank", &node.dt_rank));
  size_t directions = 0;
  PM_ORT_RETURN_IF_ERROR(ReadInts(api, info, "order", node.order, PM_MAX_DIRECTIONS, &directions));
  PM_ORT_RETURN_IF_ERROR(
      ReadInts(api, info, "reverse", node.reverse, PM_MAX_DIRECTIONS, &directions));
  PM_ORT_RETURN_IF_ERROR(
      ReadInts(api, info, "limb_mask", node.limb_mask, PM_MAX_DIRECTIONS, &directions));
  node.directions = static_cast<int32_t>(directions);
  limb_count = 0;
  return ReadInts(api, info, "limb_index", node.limb_index, PM_MAX_JOINTS, &limb_count);
}

Status* CrossSelectiveScan::Compute(KernelContext* context) const {
  Tensor x, x_dbl, dt_weight, dt_bias, A, D;
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kX, 4, kName, &x));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kXDbl, 4, kName, &x_dbl));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kDtWeight, 3, kName, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kDtBias, 2, kName, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kA, 3, kName, &A));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kD, 2, kName, &D));

  const int64_t k = node.directions, inner = x.dims[3], n = node.d_state, r = node.dt_rank;
  const bool grids_agree =
      x.dims[0] == x_dbl.dims[0] && x.dims[1] == x_dbl.dims[1] && x.dims[2] == x_dbl.dims[2];
  if (!grids_agree || x_dbl.dims[3] != k * (r + 2 * n)) {
    return Invalid(api, kName,
                   "x_dbl must be [batch, frames, joints, K * (dt_rank + 2 * d_state)]");
  }
  const auto is = [](const Tensor& t, std::array<int64_t, 4> dims) { return t.dims == dims; };
  if (!is(dt_weight, {k, inner, r}) || !is(dt_bias, {k, inner}) || !is(A, {k, inner, n}) ||
      !is(D, {k, inner})) {
    return Invalid(api, kName, "dt_weight, dt_bias, A or D does not match x and the attributes");
  }
  if (static_cast<int64_t>(limb_count) != x.dims[2]) {
    return Invalid(api, kName, "limb_index must have one entry for each joint of x");
  }

  pm_cross_scan_params params = node;
  params.x = x.data;
  params.x_dbl = x_dbl.data;
  params.dt_weight = static_cast<const float*>(dt_weight.data);
  params.dt_bias = static_cast<const float*>(dt_bias.data);
  params.A = static_cast<const float*>(A.data);
  params.D = static_cast<const float*>(D.data);
  params.batch = x.dims[0];
  params.frames = x.dims[1];
  params.joints = static_cast<int32_t>(x.dims[2]);
  params.d_inner = static_cast<int32_t>(inner);
  params.x_stride = inner;
  params.x_dbl_stride = x_dbl.dims[3];
  params.y_stride = inner;
  PM_ORT_RETURN_IF_ERROR(Output(api, context, x, &params.y));

  HostThreads threads(api, context);
  Workspace workspace(api, context);
  PM_ORT_RETURN_IF_ERROR(
      workspace.Allocate(pm_cpu_cross_scan_workspace(&params, threads.parallel()->threads)));
  return FromLauncher(api, kName, pm_cpu_cross_scan(&params, workspace.data(), threads.parallel()));
}

}  // namespace posemamba::ort
