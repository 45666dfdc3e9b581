// posemamba::ConvSilu, GatedNorm and AddNorm, version 1 (docs/onnxruntime.md): what
// `pmexport optimize` makes of the standard operators around a scan.
#pragma once

#include "context.h"
#include "posemamba/block.h"

namespace posemamba::ort {

// y = SiLU(depthwise 3x3 convolution of the first channels of xz over (frames, joints)).
struct ConvSilu {
  using Params = pm_conv_silu_params;
  static constexpr const char* kName = "ConvSilu";
  static constexpr const char* kInputs = "Tff";  // xz, weight, bias
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 3;

  const Api* api;
  pm_dtype dtype;

  static Status* InferShape(const Api* api, ShapeInferContext* context);
  Status* Read(const KernelInfo*) { return nullptr; }
  Status* Bind(KernelContext* context, Params* params) const;
};

// out = LayerNorm(y) * SiLU(the last channels of xz).
struct GatedNorm {
  using Params = pm_gated_norm_params;
  static constexpr const char* kName = "GatedNorm";
  static constexpr const char* kInputs = "TTff";  // y, xz, gamma, beta
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 4;

  const Api* api;
  pm_dtype dtype;
  float epsilon;

  static Status* InferShape(const Api* api, ShapeInferContext* context) {
    return OutputLikeInput(api, context, 0, 0, 4);
  }
  Status* Read(const KernelInfo* info) { return ReadFloat(api, info, "epsilon", &epsilon); }
  Status* Bind(KernelContext* context, Params* params) const;
};

// sum = residual + branch; stream = shared ? LayerNorm(sum) : sum; out = LayerNorm(stream).
struct AddNorm {
  using Params = pm_add_norm_params;
  static constexpr const char* kName = "AddNorm";
  // residual, branch, gamma, beta, shared_gamma, shared_beta
  static constexpr const char* kInputs = "fTffff";
  static constexpr const char* kOutputs = "fT";  // stream, out
  static constexpr size_t kRequired = 4;

  const Api* api;
  pm_dtype dtype;
  float epsilon;
  float shared_epsilon;

  static Status* InferShape(const Api* api, ShapeInferContext* context);
  Status* Read(const KernelInfo* info);
  Status* Bind(KernelContext* context, Params* params) const;
};

}  // namespace posemamba::ort
