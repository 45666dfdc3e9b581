#include "cross_selective_scan_v2.h"

#include "cross_scan_inputs.h"

namespace posemamba::trt {

bool CrossSelectiveScanV2::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                                 Reason* reason) {
  const int64_t directions = inputs[kScanIndex].d[0], steps = inputs[kScanIndex].d[1];
  if (!match_cross_inputs<CrossSelectiveScanV2>(attributes, inputs, directions, PM_MAX_WIDE_STATE,
                                                params, reason) ||
      (inputs.has(kNeighbourIndex) &&
       !match(kInputs[kNeighbourIndex], inputs[kNeighbourIndex], {directions, steps}, reason)) ||
      (inputs.has(kResetLength) &&
       !match(kInputs[kResetLength], inputs[kResetLength], {directions}, reason))) {
    return false;
  }
  params->positions = inputs[kX].d[1] * inputs[kX].d[2];
  params->steps = steps;
  return true;
}

void CrossSelectiveScanV2::point(const Attribute*, const void* const* inputs, int32_t count,
                                 void* const* outputs, Params* params) {
  point_cross_inputs<CrossSelectiveScanV2>(inputs, outputs[0], params);
  params->scan_index = static_cast<const int32_t*>(inputs[kScanIndex]);
  params->neighbour_index =
      count > kNeighbourIndex ? static_cast<const int32_t*>(inputs[kNeighbourIndex]) : nullptr;
  params->reset_length =
      count > kResetLength ? static_cast<const int32_t*>(inputs[kResetLength]) : nullptr;
}

}  // namespace posemamba::trt
