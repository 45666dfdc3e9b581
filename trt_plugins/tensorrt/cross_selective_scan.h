#pragma once

#include "operator.h"

namespace posemamba::trt {

struct CrossSelectiveScan {
  static constexpr const char* kName = "CrossSelectiveScan";

  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t { kX, kXDbl, kDtWeight, kDtBias, kA, kD, kInputCount };
  static constexpr Input kInputs[kInputCount] = {
      {"x", Type::kActivation, 4},  {"x_dbl", Type::kActivation, 4}, {"dt_weight", Type::kFloat, 3},
      {"dt_bias", Type::kFloat, 2}, {"A", Type::kFloat, 3},          {"D", Type::kFloat, 2}};
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {like(Type::kActivation, kX, 4)};

  enum AttributeIndex : int32_t {
    kDState,
    kDtRank,
    kOrder,
    kReverse,
    kLimbMask,
    kLimbIndex,
    kHalfSums,
    kAttributeCount
  };
  static constexpr Attribute kAttributes[kAttributeCount] = {
      {"d_state", 1, PM_MAX_STATE, 1},    // absent: from A
      {"dt_rank", 1, PM_MAX_DT_RANK, 1},  // absent: from dt_weight
      {"order", PM_FRAME_MAJOR, PM_JOINT_MAJOR_FLIPPED, PM_MAX_DIRECTIONS},  // absent: frame-major
      {"reverse", 0, 1, PM_MAX_DIRECTIONS},                                  // absent: forwards
      {"limb_mask", 0, 1, PM_MAX_DIRECTIONS},                                // absent: no limb sum
      {"limb_index", 0, PM_MAX_JOINTS - 1, PM_MAX_JOINTS},  // needed where limb_mask has a 1
      {"half_sums", 0, 1, 1}};  // absent: float32 sums, and no field in a plan

  using Params = pm_cross_scan_params;
  static bool check(const Attribute* attributes, Reason* reason);
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }

  using Launcher = TunedLauncher<Params, &pm_cuda_cross_scan_workspace,
                                 &pm_cuda_cross_scan_workspace_limit, &pm_cuda_cross_scan>;
};

}  // namespace posemamba::trt
