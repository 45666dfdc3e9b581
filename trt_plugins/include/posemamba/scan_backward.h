/* Gradients of both operators of scan.h, which has the words, the limits and the rules that every
 * launcher keeps. scan_backward_cpu.h and scan_backward_cuda.h declare the launchers.
 *
 * With dy the gradient of y, a step s of a direction, h the state after it and A, B, C, D, u, dt as
 * in the forward pass (dt = softplus(v), v = W r + dt_bias):
 *
 *   g_s = C_s dy_s + exp(dt_{s+1} A) g_{s+1}      what the loss asks of h_s; 0 after the last step
 *   dC_s = sum over channels of h_s dy_s          dB_s = sum over channels of g_s dt_s u_s
 *   du_s = dt_s (sum over states of g_s B_s) + D dy_s
 *   e_s = g_s exp(dt_s A) h_{s-1}                 through the decay
 *   ddt_s = u_s (sum over states of g_s B_s) + sum over states of e_s A
 *   dA = sum over steps of e_s dt_s               dD = sum over steps of dy_s u_s
 *   dv_s = ddt_s / (1 + exp(-v_s)), the gradient of delta and, summed, of its bias; with W:
 *   dW = sum over steps of dv_s r_s               dr_s = W^T dv_s
 *
 * Precision: dy, dx, dx_dbl (du, ddelta, dB, dC, dz) have the type of the activations, `dtype`.
 * Gradients of parameters are float32, summed over the batch. Everything between is float32. A
 * gradient beyond float16 becomes infinite there, which a loss scaler sees. bfloat16 is not a
 * pm_dtype: its caller passes float32 copies.
 *
 * Sums over channels, steps, directions and batch items are taken in an order that depends on the
 * sizes alone: the same call gives the same bits, for every number of threads. Outputs are written,
 * not added to, and overlap nothing.
 */
#pragma once

#include "posemamba/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the gradient of what a direction reads goes, when it reads x[p] + x[limb(p)]. */
typedef enum pm_limb_gradient {
  PM_LIMB_TRUE = 0,    /* to p and to limb(p), of x and of x_dbl */
  PM_LIMB_OFFICIAL = 1 /* as the authors' kernel: to p alone. What x_dbl[limb(p)] contributed goes
                          to dx_dbl_limb, from which x_proj's weight still learns, and x does not */
} pm_limb_gradient;

typedef struct pm_cross_scan_backward_params {
  int64_t size;                 /* sizeof(pm_cross_scan_backward_params) */
  pm_cross_scan_params forward; /* inputs as in the forward pass; y and y_stride are not used */
  const void* dy;               /* [batch, frames, joints, d_inner] */
  void* dx;                     /* as x, rows contiguous: d_inner elements apart */
  void* dx_dbl;                 /* as x_dbl, directions * (dt_rank + 2 * d_state) apart */
  void* dx_dbl_limb;            /* as dx_dbl, PM_LIMB_OFFICIAL only (else ignored): the sum over
                                   p with limb(p) = q at q, 0 in directions without limb_mask */
  float* d_dt_weight;           /* [directions, d_inner, dt_rank] */
  float* d_dt_bias;             /* [directions, d_inner] */
  float* dA;                    /* [directions, d_inner, d_state] */
  float* dD;                    /* [directions, d_inner] */
  const void* states;           /* chunk states that this back end's own forward pass kept; null:
                                   recomputed. A back end that keeps none: PM_UNSUPPORTED */
  int64_t dy_stride;            /* between the positions of dy, as x_stride */
  int32_t limb_gradient;        /* pm_limb_gradient */
} pm_cross_scan_backward_params;

/* Optional inputs (D, z, delta_bias) that are null have no gradient; their outputs are ignored. */
typedef struct pm_scan_backward_params {
  int64_t size;           /* sizeof(pm_scan_backward_params) */
  pm_scan_params forward; /* inputs as in the forward pass; y is not used */
  const void* dy;         /* [batch, groups * channels, length] */
  void* du;               /* as u */
  void* ddelta;           /* as delta: before bias and softplus */
  void* dB;               /* as B */
  void* dC;               /* as C */
  void* dz;               /* as z */
  float* dA;              /* [groups * channels, d_state] */
  float* dD;              /* [groups * channels] */
  float* d_delta_bias;    /* [groups * channels] */
  const void* states;     /* as pm_cross_scan_backward_params */
} pm_scan_backward_params;

#ifdef __cplusplus
}
#endif
