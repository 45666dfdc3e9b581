#include "selective_scan_v2.h"

#include <algorithm>

namespace posemamba::trt {
namespace {
using First = SelectiveScan;
}

bool SelectiveScanV2::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                            Reason* reason) {
  const Shapes common{inputs.dims, std::min<int32_t>(inputs.count, First::kInputCount)};
  if (!First::shape_up_to(PM_MAX_WIDE_STATE, attributes, common, &params->scan, reason)) {
    return false;
  }
  const nvinfer1::Dims &u = inputs[First::kU], &A = inputs[First::kA];
  return !inputs.has(kInitialState) ||
         match(kInputs[kInitialState], inputs[kInitialState], {u.d[0], u.d[1], A.d[1]}, reason);
}

void SelectiveScanV2::point(const Attribute* attributes, const void* const* inputs, int32_t count,
                            void* const* outputs, Params* params) {
  First::point(attributes, inputs, std::min<int32_t>(count, First::kInputCount), outputs,
               &params->scan);
  if (attributes[kGated].value_or(1) == 0) params->scan.z = nullptr;
  params->initial_state =
      count > kInitialState ? static_cast<const float*>(inputs[kInitialState]) : nullptr;
  params->final_state = static_cast<float*>(outputs[1]);
}

}  // namespace posemamba::trt
