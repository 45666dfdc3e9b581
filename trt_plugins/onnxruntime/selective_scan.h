// posemamba::SelectiveScan as a node of either version (docs/reference/ops.md): a state that goes
// in or out, or more states than version 1 has, makes one of version 2.
#pragma once

#include "op_row.h"

namespace posemamba::ort {

struct SelectiveScan {
  using Params = Versions<pm_scan_params, pm_stateful_scan_params>;
  static constexpr const char* kName = "SelectiveScan";
  // u, delta, A, B, C, D, delta_bias, z, initial_state
  static constexpr const char* kInputs = "TTfTTffTf";
  static constexpr const char* kOutputs = "To";  // y, final_state
  static constexpr size_t kRequired = 5;

  const Api* api;
  pm_dtype dtype;
  int32_t gated;        // 0: z is there to hold its place
  pm_scan_params node;  // what the attributes fix; tensors and sizes are filled in per call

  // Of y alone: a context does not say whether there is another output.
  static Status* infer_shape(const Api* api, ShapeInferContext* context) {
    return output_like_input(api, context, 0, 0, 3);
  }
  Status* read(const KernelInfo* info);
  Status* bind(KernelContext* context, Params* params) const;
};

}  // namespace posemamba::ort
