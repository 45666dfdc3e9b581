// Embed, Block and LastBlock (docs/reference/ops.md): a whole network in one node a block.
// ConvProj, BlockTail and LastBlockTail are the same in two, which older files have. float16 alone.
#pragma once

#include "cross_selective_scan.h"
#include "posemamba/whole_block.h"

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
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
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
  static bool shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  using Launcher = PlainLauncher<Params, &pm_cuda_conv_proj>;
};

// What the tails share, and the blocks that end in them: everything from the scan to the stream.
struct TailBase {
  static constexpr const char* kVersion = "1";

  // Weights stand together in every table of inputs; the next norm's or the head's follow.
  enum Weight : int32_t { kDtWeight, kDtBias, kA, kD, kVectors, kOutProj, kFc1, kFc2, kWeights };
  static constexpr Input kWeightInputs[kWeights] = {
      {"dt_weight", Type::kFloat, 3}, {"dt_bias", Type::kFloat, 2}, {"A", Type::kFloat, 3},
      {"D", Type::kFloat, 2},         {"vectors", Type::kFloat, 1}, {"out_proj", Type::kHalf, 4},
      {"fc1", Type::kHalf, 4},        {"fc2", Type::kHalf, 4}};
  enum Next : int32_t { kInProj, kPosition };
  static constexpr Input kNextInputs[] = {{"in_proj", Type::kHalf, 4},
                                          {"position", Type::kFloat, 2}};
  enum Head : int32_t { kHeadWeight, kHeadBias };
  static constexpr Input kHeadInputs[] = {{"head_weight", Type::kFloat, 2},
                                          {"head_bias", Type::kFloat, 1}};

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

  static bool check(const Attribute* attributes, Reason* reason) {
    return CrossSelectiveScan::check(attributes, reason);
  }

 protected:
  // The dimensions that a tail finds in its inputs and a block makes.
  struct Grids {
    nvinfer1::Dims u, x_dbl, xz, residual;
  };
  // `weights` begin with dt_weight, `next` and `head` with their first input.
  static bool shape_tail(const Attribute* attributes, const Grids& grids, const Shapes& weights,
                         pm_block_tail_params* params, Reason* reason);
  static bool shape_next(const Shapes& next, const pm_block_tail_params& params, Reason* reason);
  static bool shape_head(const Shapes& head, const pm_block_tail_params& params, Reason* reason);
  static void point_tail(const void* xz, const void* residual, const void* const* weights,
                         void* stream, pm_block_tail_params* params);
  static void point_next(const void* const* next, int32_t count, void* xz,
                         pm_block_tail_params* params);
  static void point_head(const void* const* head, void* poses_3d, pm_block_tail_params* params);
};

// A block from the inputs of its scan on.
struct Tail : TailBase {
  enum InputIndex : int32_t {
    kU,
    kXDbl,
    kXz,
    kResidual,
    kFirstWeight,
    kRest = kFirstWeight + kWeights
  };
  static constexpr std::array<Input, kRest> kCommon = joined({{"u", Type::kHalf, 4},
                                                              {"x_dbl", Type::kHalf, 4},
                                                              {"xz", Type::kHalf, 4},
                                                              {"residual", Type::kFloat, 4}},
                                                             kWeightInputs);

  using Params = pm_block_tail_params;

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
  static pm_block_tail_params* tail_of(Params* params) { return params; }
};

// A whole block. u and x_dbl lie in the workspace.
struct WholeBlock : TailBase {
  enum InputIndex : int32_t {
    kXz,
    kResidual,
    kConvWeight,
    kConvBias,
    kProjection,
    kFirstWeight,
    kRest = kFirstWeight + kWeights
  };
  static constexpr std::array<Input, kRest> kCommon = joined({{"xz", Type::kHalf, 4},
                                                              {"residual", Type::kFloat, 4},
                                                              {"conv_weight", Type::kFloat, 2},
                                                              {"conv_bias", Type::kFloat, 1},
                                                              {"projection", Type::kHalf, 4}},
                                                             kWeightInputs);

  using Params = pm_block_params;

  struct Launcher {
    static bool takes(const Params& params) { return scan_limit(params) != 0; }
    static bool takes(const Params&, const pm_cuda_tuning&) { return false; }
    static size_t workspace_limit(const Params& params) {
      const size_t scan = scan_limit(params);
      return scan == 0 ? 0 : pm_block_workspace(&params.conv, scan);
    }
    static cudaError_t launch(Params params, const pm_cuda_tuning&, void* workspace,
                              cudaStream_t stream) {
      const size_t scan = pm_cuda_cross_scan_workspace(&params.tail.scan, nullptr);
      pm_place_scan_inputs(&params, workspace, scan);
      return pm_cuda_block(&params.conv, &params.tail, workspace, stream);
    }

   private:
    static size_t scan_limit(const Params& params) {
      return pm_cuda_cross_scan_workspace_limit(&params.tail.scan);
    }
  };

 protected:
  static bool shape_common(const Attribute* attributes, const Shapes& inputs, Params* params,
                           Reason* reason);
  static void point_common(const void* const* inputs, void* const* outputs, Params* params);
  static pm_block_tail_params* tail_of(Params* params) { return &params->tail; }
};

// Then the next block's norm and in_proj. `Start`: Tail or WholeBlock.
template <class Start>
struct WithInProj : Start {
  using typename Start::Params;
  static constexpr auto kInputs = joined(Start::kCommon, Start::kNextInputs);
  static constexpr int32_t kInputCount = kInputs.size();
  static constexpr int32_t kRequired = Start::kRest + Start::kPosition;
  static constexpr Output kOutputs[] = {
      // stream, xz
      like(Type::kFloat, Start::kResidual, 4), like(Type::kHalf, Start::kXz, 4)};

  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason) {
    return Start::shape_common(attributes, inputs, params, reason) &&
           Start::shape_next(inputs.from(Start::kRest), *Start::tail_of(params), reason);
  }
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params) {
    Start::point_common(inputs, outputs, params);
    Start::point_next(inputs + Start::kRest, count - Start::kRest, outputs[1],
                      Start::tail_of(params));
  }
};

// The last block, then the head.
template <class Start>
struct WithHead : Start {
  using typename Start::Params;
  static constexpr auto kInputs = joined(Start::kCommon, Start::kHeadInputs);
  static constexpr int32_t kInputCount = kInputs.size(), kRequired = kInputCount;
  static constexpr Output kOutputs[] = {// stream, poses_3d
                                        like(Type::kFloat, Start::kResidual, 4),
                                        on_grid(Type::kFloat, Start::kResidual, {kFixed, 0, 3})};

  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason) {
    return Start::shape_common(attributes, inputs, params, reason) &&
           Start::shape_head(inputs.from(Start::kRest), *Start::tail_of(params), reason);
  }
  static void point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                    Params* params) {
    Start::point_common(inputs, outputs, params);
    Start::point_head(inputs + Start::kRest, outputs[1], Start::tail_of(params));
  }
};

struct BlockTail : WithInProj<Tail> {
  static constexpr const char* kName = "BlockTail";
};
struct LastBlockTail : WithHead<Tail> {
  static constexpr const char* kName = "LastBlockTail";
};
struct Block : WithInProj<WholeBlock> {
  static constexpr const char* kName = "Block";
};
struct LastBlock : WithHead<WholeBlock> {
  static constexpr const char* kName = "LastBlock";
};

}  // namespace posemamba::trt
