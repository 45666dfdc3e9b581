#include "selective_scan.h"

namespace posemamba::trt {

bool SelectiveScan::Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                          Reason* reason) {
  const nvinfer1::Dims& u = inputs[kU];
  const int64_t batch = u.d[0], rows = u.d[1], length = u.d[2];
  const int64_t groups = inputs[kB].d[1], d_state = inputs[kA].d[1];
  if (!InLimit("groups", groups, PM_MAX_DIRECTIONS, reason) ||
      !InLimit("d_state", d_state, PM_MAX_STATE, reason) ||
      !InLimit("groups * d", rows, INT32_MAX, reason)) {
    return false;
  }
  if (rows % groups != 0) {
    return reason->Refuse("input 'u' has %lld channels, which %lld groups do not divide",
                          static_cast<long long>(rows), static_cast<long long>(groups));
  }
  if (!Match(kInputs[kDelta], inputs[kDelta], {batch, rows, length}, reason) ||
      !Match(kInputs[kA], inputs[kA], {rows, d_state}, reason) ||
      !Match(kInputs[kB], inputs[kB], {batch, groups, d_state, length}, reason) ||
      !Match(kInputs[kC], inputs[kC], {batch, groups, d_state, length}, reason) ||
      (inputs.has(kD) && !Match(kInputs[kD], inputs[kD], {rows}, reason)) ||
      (inputs.has(kDeltaBias) && !Match(kInputs[kDeltaBias], inputs[kDeltaBias], {rows}, reason)) ||
      (inputs.has(kZ) && !Match(kInputs[kZ], inputs[kZ], {batch, rows, length}, reason)) ||
      !CopyList(attributes[kReverse], groups, "groups", params->reverse, reason)) {
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

void SelectiveScan::Point(const void* const* inputs, int32_t count, void* y, Params* params) {
  params->u = inputs[kU];
  params->delta = inputs[kDelta];
  params->A = static_cast<const float*>(inputs[kA]);
  params->B = inputs[kB];
  params->C = inputs[kC];
  params->D = count > kD ? static_cast<const float*>(inputs[kD]) : nullptr;
  params->delta_bias = count > kDeltaBias ? static_cast<const float*>(inputs[kDeltaBias]) : nullptr;
  params->z = count > kZ ? inputs[kZ] : nullptr;
  params->y = y;
}

}  // namespace posemamba::trt
