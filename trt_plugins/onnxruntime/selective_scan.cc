#include "selective_scan.h"

namespace posemamba::ort {
namespace {
enum InputIndex : size_t { kU, kDelta, kA, kB, kC, kD, kDeltaBias, kZ };
}

Status* SelectiveScan::read(const KernelInfo* info) {
  node = Params{};
  node.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(read_int(api, info, "delta_softplus", &node.delta_softplus));
  size_t groups = 0;
  PM_ORT_RETURN_IF_ERROR(read_ints(api, info, "reverse", node.reverse, PM_MAX_DIRECTIONS, &groups));
  node.groups = static_cast<int32_t>(groups);
  return nullptr;
}

Status* SelectiveScan::bind(KernelContext* context, Params* bound) const {
  Tensor u, delta, A, B, C, D, delta_bias, z;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kU, 3, kName, &u));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDelta, 3, kName, &delta));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kA, 2, kName, &A));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kB, 4, kName, &B));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kC, 4, kName, &C));
  size_t inputs = 0;  // trailing inputs may be left out, inner ones be empty
  PM_ORT_RETURN_IF_ERROR(input_count(api, context, &inputs));
  if (inputs > kD) PM_ORT_RETURN_IF_ERROR(read_input(api, context, kD, 1, kName, &D));
  if (inputs > kDeltaBias) {
    PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDeltaBias, 1, kName, &delta_bias));
  }
  if (inputs > kZ) PM_ORT_RETURN_IF_ERROR(read_input(api, context, kZ, 3, kName, &z));

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

  Params& params = *bound;
  params = node;
  params.u = u.data;
  params.delta = delta.data;
  params.A = A.floats();
  params.B = B.data;
  params.C = C.data;
  params.D = D.floats();
  params.z = z.data;
  params.delta_bias = delta_bias.floats();
  params.batch = batch;
  params.length = length;
  params.channels = static_cast<int32_t>(rows / groups);
  params.d_state = static_cast<int32_t>(n);
  return make_output(api, context, 0, u.dims, u.rank, &params.y);
}

}  // namespace posemamba::ort
