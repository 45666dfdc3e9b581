// posemamba::Embed, Block and LastBlock, version 1 (docs/reference/ops.md): a whole network in one
// node a block. ConvProj, BlockTail and LastBlockTail are the same in two, which older files have.
// float16 activations, CUDA only.
#pragma once

#include "cross_selective_scan.h"
#include "posemamba/whole_block.h"

namespace posemamba::ort {

// keypoints_2d to the residual stream, and the first block's norm and in_proj of it.
struct Embed {
  using Params = pm_embed_params;
  static constexpr const char* kName = "Embed";
  // keypoints_2d, weight, bias, joint_position, next_norm, in_proj
  static constexpr const char* kInputs = "fffffT";
  static constexpr const char* kOutputs = "fT";  // stream, xz
  static constexpr size_t kRequired = 6;

  const Api* api;
  pm_dtype dtype;
  float epsilon;

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* read(const KernelInfo* info) { return read_float(api, info, "epsilon", &epsilon); }
  Status* bind(KernelContext* context, Params* params) const;
};

// Depthwise convolution and SiLU of the first channels of xz, and x_proj of the result.
struct ConvProj {
  using Params = pm_conv_proj_params;
  static constexpr const char* kName = "ConvProj";
  static constexpr const char* kInputs = "TffT";  // xz, weight, bias, projection
  static constexpr const char* kOutputs = "TT";   // u, x_dbl
  static constexpr size_t kRequired = 4;

  const Api* api;
  pm_dtype dtype;

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* read(const KernelInfo*) { return nullptr; }
  Status* bind(KernelContext* context, Params* params) const;
};

// What the tails share, and the blocks that end in them: everything from the scan to the stream.
struct TailBase {
  using Params = pm_block_tail_params;

  const Api* api;
  pm_dtype dtype;
  CrossSelectiveScan scan;
  float out_epsilon;
  float norm2_epsilon;
  float shared_epsilon;
  float next_epsilon;

  Status* read(const KernelInfo* info);

 protected:
  // What is not a weight. u and x_dbl of a block have no address yet.
  struct Activations {
    Tensor u, x_dbl, xz, residual;
  };
  // dt_weight to fc2 are the inputs from `first` on; makes output 0, the stream.
  Status* bind_tail(KernelContext* context, const char* op, const Activations& given, size_t first,
                    pm_block_tail_params* params) const;
  // in_proj and position from `first` on; makes output 1, the next xz.
  Status* bind_in_proj(KernelContext* context, const char* op, const Tensor& residual, size_t first,
                       pm_block_tail_params* params) const;
  // The head from `first` on; makes output 1, the poses.
  Status* bind_head(KernelContext* context, const char* op, const Tensor& residual, size_t first,
                    pm_block_tail_params* params) const;
  Status* read_activations(KernelContext* context, const char* op, Activations* given) const;
};

// A block from the inputs of its scan on, then the next block's norm and in_proj.
struct BlockTail : TailBase {
  static constexpr const char* kName = "BlockTail";
  // u, x_dbl, xz, residual, dt_weight, dt_bias, A, D, vectors, out_proj, fc1, fc2, in_proj,
  // position
  static constexpr const char* kInputs = "TTTffffffTTTTf";
  static constexpr const char* kOutputs = "fT";  // stream, xz
  static constexpr size_t kRequired = 13;
  static constexpr std::array<Over, 2> kOver{{{0, 3}, {1, 2}}};  // residual, xz

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* bind(KernelContext* context, Params* params) const;
};

// The last block, then the head.
struct LastBlockTail : TailBase {
  static constexpr const char* kName = "LastBlockTail";
  // as BlockTail up to fc2, then head_weight, head_bias
  static constexpr const char* kInputs = "TTTffffffTTTff";
  static constexpr const char* kOutputs = "ff";  // stream, poses_3d
  static constexpr size_t kRequired = 14;
  static constexpr std::array<Over, 1> kOver{{{0, 3}}};  // residual

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* bind(KernelContext* context, Params* params) const;
};

// What both whole blocks share.
struct BlockBase : TailBase {
  using Params = pm_block_params;

 protected:
  Status* bind_block(KernelContext* context, const char* op, Tensor* residual,
                     Params* params) const;
};

// A block, then the next block's norm and in_proj.
struct Block : BlockBase {
  static constexpr const char* kName = "Block";
  // xz, residual, conv_weight, conv_bias, projection, dt_weight, dt_bias, A, D, vectors, out_proj,
  // fc1, fc2, in_proj, position
  static constexpr const char* kInputs = "TfffTfffffTTTTf";
  static constexpr const char* kOutputs = "fT";  // stream, xz
  static constexpr size_t kRequired = 14;
  static constexpr std::array<Over, 2> kOver{{{0, 1}, {1, 0}}};  // residual, xz

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* bind(KernelContext* context, Params* params) const;
};

// The last block, then the head.
struct LastBlock : BlockBase {
  static constexpr const char* kName = "LastBlock";
  // as Block up to fc2, then head_weight, head_bias
  static constexpr const char* kInputs = "TfffTfffffTTTff";
  static constexpr const char* kOutputs = "ff";  // stream, poses_3d
  static constexpr size_t kRequired = 15;
  static constexpr std::array<Over, 1> kOver{{{0, 1}}};  // residual

  static Status* infer_shape(const Api* api, ShapeInferContext* context);
  Status* bind(KernelContext* context, Params* params) const;
};

}  // namespace posemamba::ort
