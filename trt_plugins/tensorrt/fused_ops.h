// Embed, ConvProj, BlockTail and LastBlockTail (docs/reference/ops.md): a whole network in two
// nodes a block. float16 alone.
#pragma once

#include "cross_selective_scan.h"
#include "posemamba/block_cuda.h"

namespace posemamba::trt {

// keypoints_2d to the residual stream, and the first block's norm and in_proj of it.
struct Embed {
  static constexpr const char* kName = "Embed";
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t {
    kKeypoints,
    kWeight,
    kBias,
    kJointPosition,
    kNextNorm,
    kInProj,
    kInputCount
  };
  static constexpr Input kInputs[kInputCount] = {
      {"keypoints_2d", Type::kFloat, 4}, {"weight", Type::kFloat, 2},
      {"bias", Type::kFloat, 1},         {"joint_position", Type::kFloat, 2},
      {"next_norm", Type::kFloat, 2},    {"in_proj", Type::kHalf, 4}};
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {// stream, xz
                                        on_grid(Type::kFloat, kKeypoints, {kWeight, 0}),
                                        on_grid(Type::kHalf, kKeypoints, {kWeight, 0, 4})};

  enum AttributeIndex : int32_t { kEpsilon, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {epsilon("epsilon")};

  using Params = pm_embed_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void Point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  using Launcher = PlainLauncher<Params, &pm_cuda_embed>;
};

// Depthwise convolution and SiLU of the first channels of xz, and x_proj of the result.
struct ConvProj {
  static constexpr const char* kName = "ConvProj";
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t { kXz, kWeight, kBias, kProjection, kInputCount };
  static constexpr Input kInputs[kInputCount] = {{"xz", Type::kHalf, 4},
                                                 {"weight", Type::kFloat, 2},
                                                 {"bias", Type::kFloat, 1},
                                                 {"projection", Type::kHalf, 4}};
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {
      // u, x_dbl
      on_grid(Type::kHalf, kXz, {kBias, 0}), on_grid(Type::kHalf, kXz, {kProjection, 0, 16})};

  static constexpr int32_t kAttributeCount = 0;
  static constexpr std::array<Attribute, kAttributeCount> kAttributes{};

  using Params = pm_conv_proj_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool Shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason);
  static void Point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  using Launcher = PlainLauncher<Params, &pm_cuda_conv_proj>;
};

// What both tails share: everything from the scan to the stream.
struct TailBase {
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t {
    kU,
    kXDbl,
    kXz,
    kResidual,
    kDtWeight,
    kDtBias,
    kA,
    kD,
    kVectors,
    kOutProj,
    kFc1,
    kFc2,
    kCommonInputs
  };
  static constexpr Input kCommon[kCommonInputs] = {
      {"u", Type::kHalf, 4},         {"x_dbl", Type::kHalf, 4},      {"xz", Type::kHalf, 4},
      {"residual", Type::kFloat, 4}, {"dt_weight", Type::kFloat, 3}, {"dt_bias", Type::kFloat, 2},
      {"A", Type::kFloat, 3},        {"D", Type::kFloat, 2},         {"vectors", Type::kFloat, 1},
      {"out_proj", Type::kHalf, 4},  {"fc1", Type::kHalf, 4},        {"fc2", Type::kHalf, 4}};

  // Those of the scan, then:
  enum AttributeIndex : int32_t {
    kOutEpsilon = CrossSelectiveScan::kAttributeCount,
    kNorm2Epsilon,
    kSharedEpsilon,
    kNextEpsilon,
    kAttributeCount
  };
  static constexpr std::array<Attribute, kAttributeCount> kAttributes =
      joined(CrossSelectiveScan::kAttributes, {epsilon("out_epsilon"), epsilon("norm2_epsilon"),
                                               epsilon("shared_epsilon"), epsilon("next_epsilon")});

  using Params = pm_block_tail_params;
  static bool check(const Attribute* attributes, Reason* reason) {
    return CrossSelectiveScan::check(attributes, reason);
  }

  // The scan's workspace; the launcher chooses how to run the scan.
  struct Launcher {
    static bool takes(const Params& params) { return workspace_limit(params) != 0; }
    static bool takes(const Params&, const pm_cuda_tuning&) { return false; }
    static size_t workspace_limit(const Params& params) {
      return pm_cuda_cross_scan_workspace_limit(&params.scan);
    }
    static cudaError_t launch(const Params& params, const pm_cuda_tuning&, void* workspace,
                              cudaStream_t stream) {
      return pm_cuda_block_tail(&params, workspace, stream);
    }
  };

 protected:
  static bool shape_common(const Attribute* attributes, const Shapes& inputs, Params* params,
                           Reason* reason);
  static void point_common(const void* const* inputs, void* const* outputs, Params* params);
};

// A block from the inputs of its scan on, then the next block's norm and in_proj.
struct BlockTail : TailBase {
  static constexpr const char* kName = "BlockTail";

  enum InputIndex : int32_t { kInProj = kCommonInputs, kPosition, kInputCount };
  static constexpr std::array<Input, kInputCount> kInputs =
      joined(kCommon, {{"in_proj", Type::kHalf, 4}, {"position", Type::kFloat, 2}});
  static constexpr int32_t kRequired = kPosition;
  static constexpr Output kOutputs[] = {
      // stream, xz
      like(Type::kFloat, kResidual, 4), like(Type::kHalf, kXz, 4)};

  static bool Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void Point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
};

// The last block, then the head.
struct LastBlockTail : TailBase {
  static constexpr const char* kName = "LastBlockTail";

  enum InputIndex : int32_t { kHeadWeight = kCommonInputs, kHeadBias, kInputCount };
  static constexpr std::array<Input, kInputCount> kInputs =
      joined(kCommon, {{"head_weight", Type::kFloat, 2}, {"head_bias", Type::kFloat, 1}});
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {
      // stream, poses_3d
      like(Type::kFloat, kResidual, 4), on_grid(Type::kFloat, kResidual, {kFixed, 0, 3})};

  static bool Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void Point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
};

}  // namespace posemamba::trt
