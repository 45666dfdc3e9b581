#pragma once

#include "operator.h"

namespace posemamba::trt {

struct SelectiveScan {
  static constexpr const char* kName = "SelectiveScan";

  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t { kU, kDelta, kA, kB, kC, kD, kDeltaBias, kZ, kInputCount };
  static constexpr Input kInputs[kInputCount] = {
      {"u", Type::kActivation, 3},     {"delta", Type::kActivation, 3}, {"A", Type::kFloat, 2},
      {"B", Type::kActivation, 4},     {"C", Type::kActivation, 4},     {"D", Type::kFloat, 1},
      {"delta_bias", Type::kFloat, 1}, {"z", Type::kActivation, 3}};
  static constexpr int32_t kRequired = kD;
  static constexpr Output kOutputs[] = {like(Type::kActivation, kU, 3)};

  enum AttributeIndex : int32_t { kDeltaSoftplus, kReverse, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {
      {"delta_softplus", 0, 1, 1},            // absent: 0
      {"reverse", 0, 1, PM_MAX_DIRECTIONS}};  // absent: forwards

  using Params = pm_scan_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason) {
    return shape_up_to(PM_MAX_STATE, attributes, inputs, params, reason);
  }
  // The same with as many states as a version takes.
  static bool shape_up_to(int32_t states, const Attribute* attributes, const Shapes& inputs,
                          pm_scan_params* params, Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }

  using Launcher =
      TunedLauncher<Params, &pm_cuda_scan_workspace, &pm_cuda_scan_workspace_limit, &pm_cuda_scan>;
};

}  // namespace posemamba::trt
