// posemamba::CrossSelectiveScan, version 1 (docs/reference/ops.md).
#pragma once

#include "context.h"

namespace posemamba::ort {

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
  Status* fill(const char* op, const Tensor& x, const Tensor& x_dbl, const Tensor& dt_weight,
               const Tensor& dt_bias, const Tensor& A, const Tensor& D, Params* params) const;
};

}  // namespace posemamba::ort
