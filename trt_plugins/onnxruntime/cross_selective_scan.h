// posemamba::CrossSelectiveScan, version 1 (docs/reference/ops.md).
#pragma once

#include "context.h"

namespace posemamba::ort {

// What a scan over the grid reads, whichever operator and version it is of.
struct CrossTensors {
  Tensor x, x_dbl, dt_weight, dt_bias, A, D;

  // The first six inputs of CrossSelectiveScan.
  Status* read(const Api* api, const KernelContext* context);
  // dt_weight, dt_bias, A and D: inputs `first` and on of operator `op`.
  Status* read_weights(const Api* api, const KernelContext* context, const char* op, size_t first);
  // Whether they fit each other, and `k` directions.
  Status* check(const Api* api, const char* op, int64_t k, int64_t d_state, int64_t dt_rank) const;

  // Addresses, strides and the sizes that both versions have; y and the grid are the caller's.
  template <class Params>
  void place(Params* params) const {
    params->x = x.data;
    params->x_dbl = x_dbl.data;
    params->dt_weight = dt_weight.floats();
    params->dt_bias = dt_bias.floats();
    params->A = A.floats();
    params->D = D.floats();
    params->batch = x.dims[0];
    params->d_inner = static_cast<int32_t>(x.dims[3]);
    params->x_stride = params->y_stride = x.dims[3];
    params->x_dbl_stride = x_dbl.dims[3];
  }
};

struct CrossSelectiveScan {
  using Params = pm_cross_scan_params;
  static constexpr const char* kName = "CrossSelectiveScan";
  static constexpr const char* kInputs = "TTffff";  // x, x_dbl, dt_weight, dt_bias, A, D
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 6;

  const Api* api;
  pm_dtype dtype;
  Params node;  // what the attributes fix; tensors and sizes are filled in per call
  size_t limb_count;

  static Status* infer_shape(const Api* api, ShapeInferContext* context) {
    return output_like_input(api, context, 0, 0, 4);
  }
  Status* read(const KernelInfo* info);
  Status* bind(KernelContext* context, Params* params) const;
  // Checks the inputs of operator `op` against the attributes; params->y is left for the caller.
  Status* fill(const char* op, const CrossTensors& given, Params* params) const;
};

}  // namespace posemamba::ort
