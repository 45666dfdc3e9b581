#include "selective_scan.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kU, kDelta, kA, kB, kC, kD, kDeltaBias, kZ, kInitialState };
}

Status* SelectiveScan::read(const KernelInfo* info) {
  node = pm_scan_params{};
  node.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "delta_softplus", &node.delta_softplus));
  gated = 1;
  if (has_int(api, info, "gated")) PM_ORT_RETURN_IF_ERROR(read_int(api, info, "gated", &gated));
  size_t groups = 0;
  PM_ORT_RETURN_IF_ERROR(read_ints(api, info, "reverse", node.reverse, PM_MAX_DIRECTIONS, &groups));
  node.groups = static_cast<int32_t>(groups);
  return nullptr;
}

Status* SelectiveScan::bind(KernelContext* context, Params* bound) const {
  Tensor u, delta, A, B, C, D, delta_bias, z, state;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kU, 3, kName, &u));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDelta, 3, kName, &delta));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kA, 2, kName, &A));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kB, 4, kName, &B));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kC, 4, kName, &C));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kD, 1, kName, &D));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kDeltaBias, 1, kName, &delta_bias));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kZ, 3, kName, &z));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, kInitialState, 3, kName, &state));

  const int64_t batch = u.dims[0], rows = u.dims[1], length = u.dims[2];
  const int64_t groups = node.groups, n = A.dims[1];
  if (groups == 0 || rows % groups != 0 || delta.dims != u.dims ||
      !B.is({batch, groups, n, length}) || C.dims != B.dims) {
    return invalid(
        api, kName,
        "u and delta must be [batch, groups * d, L], B and C [batch, groups, N, L], with "
        "one entry of `reverse` for each group");
  }
  if (!A.is({rows, n}) || (D.data != nullptr && !D.is({rows})) ||
      (delta_bias.data != nullptr && !delta_bias.is({rows})) ||
      (z.data != nullptr && z.dims != u.dims)) {
    return invalid(api, kName, "A, D, delta_bias or z does not match u");
  }

  if (state.rank != 0 && !state.is({batch, rows, n})) {
    return invalid(api, kName, "initial_state must be [batch, groups * d, N]");
  }

  pm_scan_params params = node;
  params.u = u.data;
  params.delta = delta.data;
  params.A = A.floats();
  params.B = B.data;
  params.C = C.data;
  params.D = D.floats();
  params.z = gated == 0 ? nullptr : z.data;
  params.delta_bias = delta_bias.floats();
  params.batch = batch;
  params.length = length;
  params.channels = static_cast<int32_t>(rows / groups);
  params.d_state = static_cast<int32_t>(n);
  void* final_state = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_optional_output(api, context, 1, {batch, rows, n}, 3, &final_state));
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, u.dims, u.rank, &params.y));
  bound->is_second = state.rank != 0 || final_state != nullptr || n > PM_MAX_STATE;
  if (bound->is_second) {
    bound->second = {params, state.floats(), static_cast<float*>(final_state)};
  } else {
    bound->first = params;
  }
  return nullptr;
}

}  // namespace posemamba::ort
