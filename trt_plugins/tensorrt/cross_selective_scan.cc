#include "cross_selective_scan.h"

#include <algorithm>

namespace posemamba::trt {

bool CrossSelectiveScan::check(const Attribute* attributes, Reason* reason) {
  const Attribute& order = attributes[kOrder];
  for (const AttributeIndex index : {kReverse, kLimbMask}) {
    const Attribute& other = attributes[index];
    if (order.count != 0 && other.count != 0 && other.count != order.count) {
      return reason->refuse("attributes 'order' and '%s' have %d and %d values, one a direction",
                            other.name, order.count, other.count);
    }
  }
  const Attribute& mask = attributes[kLimbMask];
  const bool any = std::any_of(mask.values, mask.values + mask.count, [](int32_t m) { return m; });
  if (any && attributes[kLimbIndex].count == 0) {
    return reason->refuse("attribute 'limb_index' is missing, and 'limb_mask' asks for limb sums");
  }
  return true;
}

bool CrossSelectiveScan::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                               Reason* reason) {
  params->half_sums = attributes[kHalfSums].value_or(0);
  if (params->half_sums != 0 && params->dtype != PM_FLOAT16) {
    return reason->refuse("attribute 'half_sums' is for float16 activations");
  }
  const nvinfer1::Dims& x = inputs[kX];
  const int64_t batch = x.d[0], frames = x.d[1], joints = x.d[2], d_inner = x.d[3];
  const int64_t directions = inputs[kA].d[0];
  const int64_t d_state = attributes[kDState].value_or(static_cast<int32_t>(inputs[kA].d[2]));
  const int64_t dt_rank =
      attributes[kDtRank].value_or(static_cast<int32_t>(inputs[kDtWeight].d[2]));
  if (!in_limit("joints", joints, PM_MAX_JOINTS, reason) ||
      !in_limit("d_inner", d_inner, INT32_MAX / PM_MAX_DIRECTIONS, reason) ||
      !in_limit("directions", directions, PM_MAX_DIRECTIONS, reason) ||
      !in_limit("d_state", d_state, PM_MAX_STATE, reason) ||
      !in_limit("dt_rank", dt_rank, PM_MAX_DT_RANK, reason)) {
    return false;
  }
  const int64_t row = directions * (dt_rank + 2 * d_state);
  if (!match(kInputs[kXDbl], inputs[kXDbl], {batch, frames, joints, row}, reason) ||
      !match(kInputs[kDtWeight], inputs[kDtWeight], {directions, d_inner, dt_rank}, reason) ||
      !match(kInputs[kDtBias], inputs[kDtBias], {directions, d_inner}, reason) ||
      !match(kInputs[kA], inputs[kA], {directions, d_inner, d_state}, reason) ||
      !match(kInputs[kD], inputs[kD], {directions, d_inner}, reason) ||
      !copy_list(attributes[kOrder], directions, "directions", params->order, reason) ||
      !copy_list(attributes[kReverse], directions, "directions", params->reverse, reason) ||
      !copy_list(attributes[kLimbMask], directions, "directions", params->limb_mask, reason) ||
      !copy_list(attributes[kLimbIndex], joints, "joints", params->limb_index, reason)) {
    return false;
  }
  params->batch = batch;
  params->frames = frames;
  params->joints = static_cast<int32_t>(joints);
  params->d_inner = static_cast<int32_t>(d_inner);
  params->d_state = static_cast<int32_t>(d_state);
  params->dt_rank = static_cast<int32_t>(dt_rank);
  params->directions = static_cast<int32_t>(directions);
  params->x_stride = params->y_stride = d_inner;
  params->x_dbl_stride = row;
  return true;
}

void CrossSelectiveScan::point(const Attribute*, const void* const* inputs, int32_t,
                               void* const* outputs, Params* params) {
  params->x = inputs[kX];
  params->x_dbl = inputs[kXDbl];
  params->dt_weight = static_cast<const float*>(inputs[kDtWeight]);
  params->dt_bias = static_cast<const float*>(inputs[kDtBias]);
  params->A = static_cast<const float*>(inputs[kA]);
  params->D = static_cast<const float*>(inputs[kD]);
  params->y = outputs[0];
}

}  // namespace posemamba::trt
