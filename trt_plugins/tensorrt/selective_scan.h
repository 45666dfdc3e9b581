#pragma once

#include "operator.h"

namespace posemamba::trt {

struct SelectiveScan {
  static constexpr const char* kName = "SelectiveScan";

  enum InputIndex : int32_t { kU, kDelta, kA, kB, kC, kD, kDeltaBias, kZ, kInputCount };
  static constexpr Input kInputs[kInputCount] = {
      {"u", true, 3}, {"delta", true, 3}, {"A", false, 2},          {"B", true, 4},
      {"C", true, 4}, {"D", false, 1},    {"delta_bias", false, 1}, {"z", true, 3}};
  static constexpr int32_t kRequired = kD;

  enum AttributeIndex : int32_t { kDeltaSoftplus, kReverse, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {
      {"delta_softplus", 0, 1, 1},            // absent: 0
      {"reverse", 0, 1, PM_MAX_DIRECTIONS}};  // absent: forwards

  using Params = pm_scan_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void Point(const void* const* inputs, int32_t count, void* y, Params* params);

  static constexpr auto kWorkspace = &pm_cuda_scan_workspace;
  static constexpr auto kWorkspaceLimit = &pm_cuda_scan_workspace_limit;
  static constexpr auto kLaunch = &pm_cuda_scan;
};

}  // namespace posemamba::trt
