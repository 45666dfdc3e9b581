#include "cross_selective_scan_v2.h"

namespace posemamba::trt {

bool CrossSelectiveScanV2::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                                 Reason* reason) {
  const nvinfer1::Dims& x = inputs[kX];
  const int64_t batch = x.d[0], frames = x.d[1], joints = x.d[2], d_inner = x.d[3];
  const int64_t directions = inputs[kScanIndex].d[0], steps = inputs[kScanIndex].d[1];
  const int64_t d_state = attributes[kDState].value_or(static_cast<int32_t>(inputs[kA].d[2]));
  const int64_t dt_rank =
      attributes[kDtRank].value_or(static_cast<int32_t>(inputs[kDtWeight].d[2]));
  if (!in_limit("d_inner", d_inner, INT32_MAX / PM_MAX_DIRECTIONS, reason) ||
      !in_limit("directions", directions, PM_MAX_DIRECTIONS, reason) ||
      !in_limit("d_state", d_state, PM_MAX_WIDE_STATE, reason) ||
      !in_limit("dt_rank", dt_rank, PM_MAX_DT_RANK, reason)) {
    return false;
  }
  const int64_t row = directions * (dt_rank + 2 * d_state);
  if (!match(kInputs[kXDbl], inputs[kXDbl], {batch, frames, joints, row}, reason) ||
      !match(kInputs[kDtWeight], inputs[kDtWeight], {directions, d_inner, dt_rank}, reason) ||
      !match(kInputs[kDtBias], inputs[kDtBias], {directions, d_inner}, reason) ||
      !match(kInputs[kA], inputs[kA], {directions, d_inner, d_state}, reason) ||
      !match(kInputs[kD], inputs[kD], {directions, d_inner}, reason) ||
      (inputs.has(kNeighbourIndex) &&
       !match(kInputs[kNeighbourIndex], inputs[kNeighbourIndex], {directions, steps}, reason)) ||
      (inputs.has(kResetLength) &&
       !match(kInputs[kResetLength], inputs[kResetLength], {directions}, reason))) {
    return false;
  }
  params->batch = batch;
  params->positions = frames * joints;
  params->steps = steps;
  params->d_inner = static_cast<int32_t>(d_inner);
  params->d_state = static_cast<int32_t>(d_state);
  params->dt_rank = static_cast<int32_t>(dt_rank);
  params->directions = static_cast<int32_t>(directions);
  params->x_stride = params->y_stride = d_inner;
  params->x_dbl_stride = row;
  return true;
}

void CrossSelectiveScanV2::point(const Attribute*, const void* const* inputs, int32_t count,
                                 void* const* outputs, Params* params) {
  params->x = inputs[kX];
  params->x_dbl = inputs[kXDbl];
  params->dt_weight = static_cast<const float*>(inputs[kDtWeight]);
  params->dt_bias = static_cast<const float*>(inputs[kDtBias]);
  params->A = static_cast<const float*>(inputs[kA]);
  params->D = static_cast<const float*>(inputs[kD]);
  params->scan_index = static_cast<const int32_t*>(inputs[kScanIndex]);
  params->neighbour_index =
      count > kNeighbourIndex ? static_cast<const int32_t*>(inputs[kNeighbourIndex]) : nullptr;
  params->reset_length =
      count > kResetLength ? static_cast<const int32_t*>(inputs[kResetLength]) : nullptr;
  params->y = outputs[0];
}

}  // namespace posemamba::trt
