/* What surrounds the scan in a PoseMamba block: the parameters of its launchers, for any back end.
 *
 * Channels last throughout, so that no layout copy is left between the matrix products. Activations
 * are float32 or float16 (pm_dtype); parameters and the residual stream are float32. Rows may lie
 * further apart than they are long (`*_stride`).
 */
#pragma once

#include "posemamba/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = SiLU(depthwise 3x3 convolution of x over (frames, joints), zero padding 1, plus bias). */
typedef struct pm_conv_silu_params {
  const void* x;       /* [batch, frames, joints, channels], positions x_stride elements apart */
  const float* weight; /* [9, channels], tap (frame - 1) * 3 + (joint - 1) first */
  const float* bias;   /* [channels] */
  void* y;             /* [batch, frames, joints, channels], contiguous */
  int64_t batch;
  int64_t frames;
  int64_t x_stride;
  int32_t joints;
  int32_t channels;
  int32_t dtype;
} pm_conv_silu_params;

/* out = LayerNorm(y) * SiLU(z), row by row. */
typedef struct pm_gated_norm_params {
  const void* y; /* [rows, channels], contiguous */
  const void* z; /* [rows, channels], rows z_stride elements apart */
  const float* gamma;
  const float* beta;
  void* out; /* [rows, channels], contiguous */
  int64_t rows;
  int64_t z_stride;
  int32_t channels;
  int32_t dtype;
  float epsilon;
} pm_gated_norm_params;

/* sum = residual + branch; stream = shared ? LayerNorm(sum) : sum; out = LayerNorm(stream). */
typedef struct pm_add_norm_params {
  const float* residual;     /* [rows, channels] */
  const void* branch;        /* [rows, channels] */
  const float* shared_gamma; /* null where no norm follows the sum itself */
  const float* shared_beta;
  const float* gamma;
  const float* beta;
  float* stream; /* [rows, channels]; may be `residual` */
  void* out;     /* [rows, channels] */
  int64_t rows;
  int32_t channels;
  int32_t dtype; /* of branch and out */
  float shared_epsilon;
  float epsilon;
} pm_add_norm_params;

#ifdef __cplusplus
}
#endif
