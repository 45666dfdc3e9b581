#include "selective_scan.h"

namespace posemamba::trt {

bool SelectiveScan::shape_up_to(int32_t states, const Attribute* attributes, const Shapes& inputs,
                                pm_scan_params* params, Reason* reason) {
  const nvinfer1::Dims& u = inputs[kU];
  const int64_t batch = u.d[0], rows = u.d[1], length = u.d[2];
  const int64_t groups = inputs[kB].d[1], d_state = inputs[kA].d[1];
  if (!in_limit("groups", groups, PM_MAX_DIRECTIONS, reason) ||
      !in_limit("d_state", d_state, states, reason) ||
      !in_limit("groups * d", rows, INT32_MAX, reason)) {
    return false;
  }
  if (rows % groups != 0) {
    return reason->refuse("input 'u' has %lld channels, which %lld groups do not divide",
                          static_cast<long long>(rows), static_cast<long long>(groups));
  }
  if (!match(kInputs[kDelta], inputs[kDelta], {batch, rows, length}, reason) ||
      !match(kInputs[kA], inputs[kA], {rows, d_state}, reason) ||
      !match(kInputs[kB], inputs[kB], {batch, groups, d_state, length}, reason) ||
      !match(kInputs[kC], inputs[kC], {batch, groups, d_state, length}, reason) ||
      (inputs.has(kD) && !match(kInputs[kD], inputs[kD], {rows}, reason)) ||
      (inputs.has(kDeltaBias) && !match(kInputs[kDeltaBias], inputs[kDeltaBias], {rows}, reason)) ||
      (inputs.has(kZ) && !match(kInputs[kZ], inputs[kZ], {batch, rows, length}, reason)) ||
      !copy_list(attributes[kReverse], groups, "groups", params->reverse, reason)) {
    return false;
  }
  params->batch = batch;
  params->length = length;
  params->groups = static_cast<int32_t>(groups);
  params->channels = static_cast<int32_t>(rows / groups);
  params->d_state = static_cast<int32_t>(d_state);
  params->delta_softplus = attributes[kDeltaSoftplus].value_or(0);
  return true;
}

void SelectiveScan::point(const Attribute*, const void* const* inputs, int32_t count,
                          void* const* outputs, Params* params) {
  params->u = inputs[kU];
  params->delta = inputs[kDelta];
  params->A = static_cast<const float*>(inputs[kA]);
  params->B = inputs[kB];
  params->C = inputs[kC];
  params->D = count > kD ? static_cast<const float*>(inputs[kD]) : nullptr;
  params->delta_bias = count > kDeltaBias ? static_cast<const float*>(inputs[kDeltaBias]) : nullptr;
  params->z = count > kZ ? inputs[kZ] : nullptr;
  params->y = outputs[0];
}

}  // namespace posemamba::trt
