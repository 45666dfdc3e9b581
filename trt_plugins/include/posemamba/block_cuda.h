/* CUDA launchers of what surrounds the scan in a PoseMamba block, channels last throughout, see
 * block.h. Same rules as scan_cuda.h: asynchronous on `stream`, no allocation, no synchronisation,
 * capturable. `channels` must be a multiple of 4, at most PM_MAX_NORM_CHANNELS in the norms; every
 * row starts on a multiple of four elements.
 */
#pragma once

#include <cuda_runtime_api.h>

#include "posemamba/block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PM_MAX_NORM_CHANNELS 1024

/* The fused path, float16 activations only (products on the tensor cores, everything else float32):
 * embed, then per block conv_proj and block_tail, which runs the scan too, or both as one. A block
 * of d_model channels has 2 * d_model inner and 2 * d_model MLP channels; d_model is a
 * pm_fused_width (cudaErrorNotSupported otherwise). Matrices are packed: a row-major [outputs,
 * inputs] matrix in float16, cut into 16x16 tiles in the order the tensor cores read
 * (docs/design/block.md). Activations, packed matrices, taps, biases and vectors start on 16
 * bytes. */

/* Whether the fused path is compiled for a width. */
static inline int pm_fused_width(int64_t d_model) {
  return d_model == 64 || d_model == 128 || d_model == 256;
}

/* u = SiLU(depthwise 3x3 convolution of x, plus bias); x_dbl = u * projection^T. */
typedef struct pm_conv_proj_params {
  const void* x;          /* [batch, frames, joints, channels], positions x_stride apart */
  const float* weight;    /* [9, channels], as pm_conv_silu_params */
  const float* bias;      /* [channels] */
  const void* projection; /* packed [columns, channels] */
  void* u;                /* [batch, frames, joints, channels], contiguous */
  void* x_dbl;            /* [batch, frames, joints, columns], contiguous */
  int64_t batch;
  int64_t frames;
  int64_t x_stride; /* a multiple of 8 */
  int32_t joints;
  int32_t channels; /* 128, 256 or 512 */
  int32_t columns;  /* a multiple of 16 */
} pm_conv_proj_params;

/* What follows the stream: LayerNorm, then the next block's in_proj or (xz null) the head. */
typedef struct pm_next_params {
  const void* in_proj;      /* packed [4 * d_model, d_model] */
  void* xz;                 /* [positions, 4 * d_model]; may be where this block's z lies */
  const float* head_weight; /* [3, d_model] */
  const float* head_bias;   /* [3] */
  float* poses_3d;          /* [positions, 3] */
  float epsilon;
} pm_next_params;

/* One block from the inputs of its scan on, positions = batch * frames * joints:
 *   y = the scan; g = LayerNorm(y) * SiLU(z); s = residual + g * out_proj^T;
 *   s = LayerNorm_shared(s + MLP(LayerNorm(s))) + position; then `next` of s.
 * y is never stored: the tail sums the directions itself.
 *
 * `vectors`, 17 * d_model floats, joins what is read whole by every thread block, d = d_model:
 *   out_norm gamma, beta; sum of D over the directions, over those with limb_mask   (2d each)
 *   norm2 gamma, beta; shared norm gamma, beta; next norm gamma, beta                (d each)
 *   fc1 bias (2d); fc2 bias (d) */
typedef struct pm_block_tail_params {
  pm_cross_scan_params scan; /* y and D are not used */
  const void* z;             /* [positions, 2 * d_model], rows z_stride elements apart */
  int64_t z_stride;          /* a multiple of 8, below 2^31 */
  const float* vectors;
  const void* out_proj;  /* packed [d_model, 2 * d_model] */
  const void* fc1;       /* packed [2 * d_model, d_model] */
  const void* fc2;       /* packed [d_model, 2 * d_model] */
  const float* residual; /* [positions, d_model] */
  const float* position; /* [frames, d_model] to add, or null */
  float* stream;         /* [positions, d_model]; may be `residual` */
  pm_next_params next;
  int32_t d_model;
  float out_epsilon;
  float norm2_epsilon;
  float shared_epsilon;
} pm_block_tail_params;

/* stream = keypoints_2d * weight^T + bias + joint position; then `next` of it. */
typedef struct pm_embed_params {
  const float* keypoints_2d;   /* [batch, frames, joints, 2] */
  const float* weight;         /* [d_model, 2] */
  const float* bias;           /* [d_model] */
  const float* joint_position; /* [joints, d_model] */
  const float* next_norm;      /* gamma, beta: [2, d_model] */
  float* stream;               /* [positions, d_model] */
  pm_next_params next;         /* xz must not be null */
  int64_t batch;
  int64_t frames;
  int32_t joints;
  int32_t d_model;
} pm_embed_params;

PM_API cudaError_t pm_cuda_embed(const pm_embed_params* params, cudaStream_t stream);
PM_API cudaError_t pm_cuda_conv_proj(const pm_conv_proj_params* params, cudaStream_t stream);
/* Workspace as pm_cuda_cross_scan_workspace of params->scan. */
PM_API cudaError_t pm_cuda_block_tail(const pm_block_tail_params* params, void* workspace,
                                      cudaStream_t stream);
/* Both in one call, which may leave x_dbl out: tail->scan reads conv's u and x_dbl (the same
 * addresses, sizes and strides), and x_dbl is undefined afterwards. Workspace as above. */
PM_API cudaError_t pm_cuda_block(const pm_conv_proj_params* conv, const pm_block_tail_params* tail,
                                 void* workspace, cudaStream_t stream);

PM_API cudaError_t pm_cuda_conv_silu(const pm_conv_silu_params* params, cudaStream_t stream);
PM_API cudaError_t pm_cuda_gated_norm(const pm_gated_norm_params* params, cudaStream_t stream);
PM_API cudaError_t pm_cuda_add_norm(const pm_add_norm_params* params, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
