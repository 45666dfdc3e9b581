// ConvSilu, GatedNorm and AddNorm (docs/reference/ops.md): what the composed rewrite makes of the
// standard operators around a scan.
#pragma once

#include "operator.h"
#include "posemamba/block_cuda.h"

namespace posemamba::trt {

// y = silu(depthwise 3x3 convolution of the first channels of xz over (frames, joints)).
struct ConvSilu {
  static constexpr const char* kName = "ConvSilu";
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t { kXz, kWeight, kBias, kInputCount };
  static constexpr Input kInputs[kInputCount] = {
      {"xz", Type::kActivation, 4}, {"weight", Type::kFloat, 2}, {"bias", Type::kFloat, 1}};
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {on_grid(Type::kActivation, kXz, {kBias, 0})};

  static constexpr int32_t kAttributeCount = 0;
  static constexpr std::array<Attribute, kAttributeCount> kAttributes{};

  using Params = pm_conv_silu_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }
  using Launcher = PlainLauncher<Params, &pm_cuda_conv_silu>;
};

// out = layer_norm(y) * silu(the last channels of xz).
struct GatedNorm {
  static constexpr const char* kName = "GatedNorm";
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t { kY, kXz, kGamma, kBeta, kInputCount };
  static constexpr Input kInputs[kInputCount] = {{"y", Type::kActivation, 4},
                                                 {"xz", Type::kActivation, 4},
                                                 {"gamma", Type::kFloat, 1},
                                                 {"beta", Type::kFloat, 1}};
  static constexpr int32_t kRequired = kInputCount;
  static constexpr Output kOutputs[] = {like(Type::kActivation, kY, 4)};

  enum AttributeIndex : int32_t { kEpsilon, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {epsilon("epsilon")};

  using Params = pm_gated_norm_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }
  using Launcher = PlainLauncher<Params, &pm_cuda_gated_norm>;
};

// sum = residual + branch; stream = shared ? layer_norm(sum) : sum; out = layer_norm(stream).
struct AddNorm {
  static constexpr const char* kName = "AddNorm";
  static constexpr const char* kVersion = "1";

  enum InputIndex : int32_t {
    kResidual,
    kBranch,
    kGamma,
    kBeta,
    kSharedGamma,
    kSharedBeta,
    kInputCount
  };
  static constexpr Input kInputs[kInputCount] = {
      {"residual", Type::kFloat, 4},     {"branch", Type::kActivation, 4},
      {"gamma", Type::kFloat, 1},        {"beta", Type::kFloat, 1},
      {"shared_gamma", Type::kFloat, 1}, {"shared_beta", Type::kFloat, 1}};
  static constexpr int32_t kRequired = kSharedGamma;
  static constexpr Output kOutputs[] = {like(Type::kFloat, kResidual, 4),
                                        like(Type::kActivation, kResidual, 4)};

  enum AttributeIndex : int32_t { kEpsilon, kSharedEpsilon, kAttributeCount };
  static constexpr Attribute kAttributes[kAttributeCount] = {epsilon("epsilon"),
                                                             epsilon("shared_epsilon")};

  using Params = pm_add_norm_params;
  static bool check(const Attribute*, Reason*) { return true; }
  static bool shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason);
  static void point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params);
  static int32_t& dtype(Params& params) { return params.dtype; }
  using Launcher = PlainLauncher<Params, &pm_cuda_add_norm>;
};

}  // namespace posemamba::trt
