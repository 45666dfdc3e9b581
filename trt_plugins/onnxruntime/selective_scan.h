// posemamba::SelectiveScan, version 1 (docs/ops.md), over the CPU launcher.
#pragma once

#include "context.h"

namespace posemamba::ort {

struct SelectiveScan {
  static constexpr const char* kName = "SelectiveScan";
  static constexpr const char* kInputs = "TTfTTffT";  // u, delta, A, B, C, D, delta_bias, z
  static constexpr size_t kRequired = 5;              // D, delta_bias and z may be absent

  const Api* api;
  pm_dtype dtype;
  pm_scan_params node;  // what the attributes fix; tensors and sizes are filled in per call

  Status* Read(const KernelInfo* info);
  Status* Compute(KernelContext* context) const;
};

}  // namespace posemamba::ort
