#include "cross_selective_scan_v2.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t {
  kX,
  kXDbl,
  kDtWeight,
  kDtBias,
  kA,
  kD,
  kScanIndex,
  kNeighbourIndex,
  kReset
};
}

Status* AnyCrossSelectiveScan::read(const KernelInfo* info) {
  has_order = has_ints(api, info, "order");
  if (has_order) {
    first.api = api;
    first.dtype = dtype;
    return first.read(info);
  }
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "d_state", &d_state));
  return read_int(api, info, "dt_rank", &dt_rank);
}

Status* AnyCrossSelectiveScan::bind(KernelContext* context, Params* params) const {
  Tensor scan_index;
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kScanIndex, 2, kName, &scan_index));
  params->is_second = scan_index.rank != 0;
  if (params->is_second == has_order) {
    return invalid(api, kName,
                   has_order ? "it has both attribute 'order' and input 'scan_index'"
                             : "it has neither attribute 'order' nor input 'scan_index'");
  }
  return has_order ? first.bind(context, &params->first)
                   : bind_tables(context, scan_index, &params->second);
}

Status* AnyCrossSelectiveScan::bind_tables(KernelContext* context, const Tensor& scan_index,
                                           pm_indexed_scan_params* params) const {
  Tensor x, x_dbl, dt_weight, dt_bias, A, D, neighbour_index, reset_length;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kX, 4, kName, &x));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXDbl, 4, kName, &x_dbl));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtWeight, 3, kName, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtBias, 2, kName, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kA, 3, kName, &A));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kD, 2, kName, &D));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kNeighbourIndex, 2, kName, &neighbour_index));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kReset, 1, kName, &reset_length));

  const int64_t k = scan_index.dims[0], inner = x.dims[3], n = d_state, r = dt_rank;
  const bool grids_agree =
      x.dims[0] == x_dbl.dims[0] && x.dims[1] == x_dbl.dims[1] && x.dims[2] == x_dbl.dims[2];
  if (!grids_agree || x_dbl.dims[3] != k * (r + 2 * n)) {
    return invalid(api, kName,
                   "x_dbl must be [batch, frames, joints, K * (dt_rank + 2 * d_state)]");
  }
  if (!dt_weight.is({k, inner, r}) || !dt_bias.is({k, inner}) || !A.is({k, inner, n}) ||
      !D.is({k, inner})) {
    return invalid(api, kName,
                   "dt_weight, dt_bias, A or D does not match x, scan_index and the attributes");
  }
  if ((neighbour_index.rank != 0 && neighbour_index.dims != scan_index.dims) ||
      (reset_length.rank != 0 && !reset_length.is({k}))) {
    return invalid(api, kName, "neighbour_index or reset_length does not match scan_index");
  }

  pm_indexed_scan_params& filled = *params;
  filled = pm_indexed_scan_params{};
  filled.x = x.data;
  filled.x_dbl = x_dbl.data;
  filled.dt_weight = dt_weight.floats();
  filled.dt_bias = dt_bias.floats();
  filled.A = A.floats();
  filled.D = D.floats();
  filled.scan_index = scan_index.ints();
  filled.neighbour_index = neighbour_index.ints();
  filled.reset_length = reset_length.ints();
  filled.batch = x.dims[0];
  filled.positions = x.dims[1] * x.dims[2];
  filled.steps = scan_index.dims[1];
  filled.d_inner = static_cast<int32_t>(inner);
  filled.d_state = d_state;
  filled.dt_rank = dt_rank;
  filled.directions = static_cast<int32_t>(k);
  filled.dtype = dtype;
  filled.x_stride = filled.y_stride = inner;
  filled.x_dbl_stride = x_dbl.dims[3];
  return make_output(api, context, 0, x.dims, x.rank, &filled.y);
}

}  // namespace posemamba::ort
