#pragma once

#include "operator.h"

namespace posemamba::trt {

struct CrossSelectiveScanV2 {
  static constexpr const char* kName = "CrossSelectiveScan";
  static constexpr const char* kVersion = "2";

  enum InputIndex : int32_t {
    kX,
    kXDbl,
    kDtWeight,
    kDtBias,
    kA,
    kD,
    kScanIndex,
    kNeighbourIndex,
    kResetLength,
    kInputCount
  };
  static constexpr Input kInputs[kInputCount] = {{"x", Type::kActivation, 4},
                                                 {"x_dbl", Type::kActivation, 4},
                                                 {"dt_weight", Type::kFloat, 3},
                                                 {"dt_bias", Type::kFloat, 2},
                                                 {"A", Type::kFloat, 3},
                                                 {"D", Type::kFloat, 2},
                                                 {"scan_index", Type::kInteger, 2},
                                                 {"neighbour_index", Type::kInteger, 2},
                                                 {"reset_length", Type::kInteger, 1}};
  static constexpr int32_t kRequired = kNeighbourIndex;
  static constexpr Output kOutputs[] = {like(Type::kActivation, kX, 4)};

  enum AttributeIndex : int32_t { kDState, kDtRank, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {
      {"d_state", 1, PM_MAX_WIDE_STATE, 1},  // absent: from A
      {"dt_rank", 1, PM_MAX_DT_RANK, 1}};    // absent: from dt_weight

  using Params = pm_indexed_scan_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }

  using Launcher = TunedLauncher<Params, &pm_cuda_indexed_scan_workspace,
                                 &pm_cuda_indexed_scan_workspace_limit, &pm_cuda_indexed_scan>;
};

}  // namespace posemamba::trt
