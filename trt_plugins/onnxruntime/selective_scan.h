// posemamba::SelectiveScan, version 1 (docs/reference/ops.md).
#pragma once

#include "context.h"

namespace posemamba::ort {

struct SelectiveScan {
  using Params = pm_scan_params;
  static constexpr const char* kName = "SelectiveScan";
  static constexpr const char* kInputs = "TTfTTffT";  // u, delta, A, B, C, D, delta_bias, z
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 5;  // D, delta_bias and z may be absent

  const Api* api;
  pm_dtype dtype;
  Params node;  // what the attributes fix; tensors and sizes are filled in per call

  static Status* infer_shape(const Api* api, ShapeInferContext* context) {
    return output_like_input(api, context, 0, 0, 3);
  }
  Status* read(const KernelInfo* info);
  Status* bind(KernelContext* context, Params* params) const;
};

}  // namespace posemamba::ort
