// posemamba::ConvSilu, GatedNorm and AddNorm, version 1 (docs/reference/ops.md): what
// `pmexport optimize` makes of the standard operators around a scan.
#pragma once

#include "context.h"
#include "posemamba/block.h"

namespace posemamba::ort {

// y = silu(depthwise 3x3 convolution of the first channels of xz over (frames, joints)).
struct ConvSilu {
  using Params = pm_conv_silu_params;
  static constexpr const char* kName = "ConvSilu";
  static constexpr const char* kInputs = "Tff";  // xz, weight, bias
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 3;

  const Api* api;
  pm_dtype dtype;

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* read(const KernelInfo*) { return nullptr; }
  Status* bind(KernelContext* context, Params* params) const;
};

// out = layer_norm(y) * silu(the last channels of xz).
struct GatedNorm {
  using Params = pm_gated_norm_params;
  static constexpr const char* kName = "GatedNorm";
  static constexpr const char* kInputs = "TTff";  // y, xz, gamma, beta
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 4;

  const Api* api;
  pm_dtype dtype;
  float epsilon;

  static Status* infer_shape(const Api* api, ShapeInferContext* context) {
    return output_like_input(api, context, 0, 0, 4);
  }
  Status* read(const KernelInfo* info) { return read_float(api, info, "epsilon", &epsilon); }
  Status* bind(KernelContext* context, Params* params) const;
};

// sum = residual + branch; stream = shared ? layer_norm(sum) : sum; out = layer_norm(stream).
struct AddNorm {
  using Params = pm_add_norm_params;
  static constexpr const char* kName = "AddNorm";
  // residual, branch, gamma, beta, shared_gamma, shared_beta
  static constexpr const char* kInputs = "fTffff";
  static constexpr const char* kOutputs = "fT";  // stream, out
  static constexpr size_t kRequired = 4;
  static constexpr std::array<Over, 1> kOver{{{0, 0}}};  // residual

  const Api* api;
  pm_dtype dtype;
  float epsilon;
  float shared_epsilon;

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* read(const KernelInfo* info);
  Status* bind(KernelContext* context, Params* params) const;
};

}  // namespace posemamba::ort
