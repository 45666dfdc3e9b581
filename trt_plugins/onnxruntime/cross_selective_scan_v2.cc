#include "cross_selective_scan_v2.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kScanIndex = CrossSelectiveScan::kRequired, kNeighbourIndex, kReset };
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
  CrossTensors given;
  Tensor neighbour_index, reset_length;
  PM_ORT_RETURN_IF_ERROR(given.read(api, context));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kNeighbourIndex, 2, kName, &neighbour_index));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kReset, 1, kName, &reset_length));
  const int64_t k = scan_index.dims[0];
  PM_ORT_RETURN_IF_ERROR(given.check(api, kName, k, d_state, dt_rank));
  if ((neighbour_index.rank != 0 && neighbour_index.dims != scan_index.dims) ||
      (reset_length.rank != 0 && !reset_length.is({k}))) {
    return invalid(api, kName, "neighbour_index or reset_length does not match scan_index");
  }

  *params = pm_indexed_scan_params{};
  given.place(params);
  params->scan_index = scan_index.ints();
  params->neighbour_index = neighbour_index.ints();
  params->reset_length = reset_length.ints();
  params->positions = given.x.dims[1] * given.x.dims[2];
  params->steps = scan_index.dims[1];
  params->d_state = d_state;
  params->dt_rank = dt_rank;
  params->directions = static_cast<int32_t>(k);
  params->dtype = dtype;
  return make_output(api, context, 0, given.x.dims, given.x.rank, &params->y);
}

}  // namespace posemamba::ort
