// posemamba::CrossSelectiveScan, version 1 (docs/ops.md), over the CPU launcher.
#pragma once

#include "context.h"

namespace posemamba::ort {

struct CrossSelectiveScan {
  static constexpr const char* kName = "CrossSelectiveScan";
  static constexpr const char* kInputs = "TTffff";  // x, x_dbl, dt_weight, dt_bias, A, D
  static constexpr size_t kRequired = 6;

  const Api* api;
  pm_dtype dtype;
  pm_cross_scan_params node;  // what the attributes fix; tensors and sizes are filled in per call
  size_t limb_count;

  Status* Read(const KernelInfo* info);
  Status* Compute(KernelContext* context) const;
};

}  // namespace posemamba::ort
