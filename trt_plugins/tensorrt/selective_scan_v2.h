#pragma once

#include "selective_scan.h"

namespace posemamba::trt {

struct SelectiveScanV2 {
  static constexpr const char* kName = "SelectiveScan";
  static constexpr const char* kVersion = "2";

  // Those of version 1, and the state before the first step.
  enum InputIndex : int32_t { kInitialState = SelectiveScan::kInputCount, kInputCount };
  static constexpr std::array<Input, kInputCount> kInputs =
      joined(SelectiveScan::kInputs, {{"initial_state", Type::kFloat, 3}});
  static constexpr int32_t kRequired = SelectiveScan::kRequired;
  static constexpr Output kOutputs[] = {
      // y, final_state
      like(Type::kActivation, SelectiveScan::kU, 3),
      {Type::kFloat, 3, {{SelectiveScan::kU, 0}, {SelectiveScan::kU, 1}, {SelectiveScan::kA, 1}}}};

  enum AttributeIndex : int32_t { kGated = SelectiveScan::kAttributeCount, kAttributeCount };
  static constexpr std::array<Attribute, kAttributeCount> kAttributes =
      joined(SelectiveScan::kAttributes, {{"gated", 0, 1, 1}});

  using Params = pm_stateful_scan_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute* attributes, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.scan.dtype; }

  using Launcher = TunedLauncher<Params, &pm_cuda_stateful_scan_workspace,
                                 &pm_cuda_stateful_scan_workspace_limit, &pm_cuda_stateful_scan>;
};

}  // namespace posemamba::trt
