// What both versions of CrossSelectiveScan read: their first six inputs, and two attributes.
#pragma once

#include "operator.h"

namespace posemamba::trt {

// Reads the sizes into `params`, and holds the six inputs against them.
template <class Op>
bool match_cross_inputs(const Attribute* attributes, const Shapes& inputs, int64_t directions,
                        int32_t most_states, typename Op::Params* params, Reason* reason) {
  const nvinfer1::Dims& x = inputs[Op::kX];
  const int64_t batch = x.d[0], frames = x.d[1], joints = x.d[2], d_inner = x.d[3];
  const int64_t d_state =
      attributes[Op::kDState].value_or(static_cast<int32_t>(inputs[Op::kA].d[2]));
  const int64_t dt_rank =
      attributes[Op::kDtRank].value_or(static_cast<int32_t>(inputs[Op::kDtWeight].d[2]));
  if (!in_limit("d_inner", d_inner, INT32_MAX / PM_MAX_DIRECTIONS, reason) ||
      !in_limit("directions", directions, PM_MAX_DIRECTIONS, reason) ||
      !in_limit("d_state", d_state, most_states, reason) ||
      !in_limit("dt_rank", dt_rank, PM_MAX_DT_RANK, reason)) {
    return false;
  }
  const int64_t row = directions * (dt_rank + 2 * d_state);
  const auto fits = [&](int32_t input, std::initializer_list<int64_t> expected) {
    return match(Op::kInputs[input], inputs[input], expected, reason);
  };
  if (!fits(Op::kXDbl, {batch, frames, joints, row}) ||
      !fits(Op::kDtWeight, {directions, d_inner, dt_rank}) ||
      !fits(Op::kDtBias, {directions, d_inner}) || !fits(Op::kA, {directions, d_inner, d_state}) ||
      !fits(Op::kD, {directions, d_inner})) {
    return false;
  }
  params->batch = batch;
  params->d_inner = static_cast<int32_t>(d_inner);
  params->d_state = static_cast<int32_t>(d_state);
  params->dt_rank = static_cast<int32_t>(dt_rank);
  params->directions = static_cast<int32_t>(directions);
  params->x_stride = params->y_stride = d_inner;
  params->x_dbl_stride = row;
  return true;
}

template <class Op>
void point_cross_inputs(const void* const* inputs, void* y, typename Op::Params* params) {
  params->x = inputs[Op::kX];
  params->x_dbl = inputs[Op::kXDbl];
  params->dt_weight = static_cast<const float*>(inputs[Op::kDtWeight]);
  params->dt_bias = static_cast<const float*>(inputs[Op::kDtBias]);
  params->A = static_cast<const float*>(inputs[Op::kA]);
  params->D = static_cast<const float*>(inputs[Op::kD]);
  params->y = y;
}

}  // namespace posemamba::trt
