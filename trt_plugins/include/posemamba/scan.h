/* Launcher API of the PoseMamba scan kernels: plain C, no framework, one header for every adapter.
 *
 * Two operators (ONNX domain `posemamba`, version 1; docs/reference/ops.md has the specification):
 *   CrossSelectiveScan  order gather, limb sum, dt projection, softplus, K directional scans and
 *                       their sum, with nothing materialised K times;
 *   SelectiveScan       the Mamba-1 scan (Gu & Dao 2023, algorithm 2), grouped B and C.
 *
 * Rules every launcher keeps: it validates and returns a status; it never allocates, throws, logs
 * or ends the process. Caller and callee agree on the layout through PM_ABI_VERSION.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define PM_API __declspec(dllexport)
#else
#define PM_API __attribute__((visibility("default")))
#endif

#define PM_ABI_VERSION 3
#define PM_MAX_DIRECTIONS 8
#define PM_MAX_JOINTS 64
#define PM_MAX_STATE 64
#define PM_MAX_DT_RANK 128

/* Type of the activations (x, x_dbl, y, u, delta, B, C, z). Parameters are always float32. */
typedef enum pm_dtype { PM_FLOAT32 = 0, PM_FLOAT16 = 1 } pm_dtype;

typedef enum pm_status {
  PM_OK = 0,
  PM_NULL_POINTER = 1, /* a required pointer is null */
  PM_BAD_SHAPE = 2,    /* a size is zero, negative or beyond a PM_MAX_* limit */
  PM_BAD_STRIDE = 3,   /* a position stride is smaller than the row it steps over */
  PM_BAD_ORDER = 4,    /* an order code, flag or limb index is out of range */
  PM_BAD_DTYPE = 5,    /* not a pm_dtype, or one that does not go with another parameter */
  PM_UNSUPPORTED = 6,  /* valid, but this back end cannot run it (its documentation says when) */
  PM_BAD_STRUCT = 7    /* a struct's own size is not the one this library knows */
} pm_status;

/* How a direction walks the (frames, joints) grid. Position of a token is always t * joints + j. */
typedef enum pm_order {
  PM_FRAME_MAJOR = 0,         /* frame by frame, joints ascending inside a frame */
  PM_JOINT_MAJOR = 1,         /* joint by joint, frames ascending inside a joint */
  PM_FRAME_MAJOR_FLIPPED = 2, /* frame by frame, joints descending inside a frame */
  PM_JOINT_MAJOR_FLIPPED = 3  /* joint by joint, frames descending inside a joint */
} pm_order;

/* y[b,p,:] = sum_k scan_k(...)[b, step of p in direction k, :], accumulated in float32.
 *
 * A "position" is one (frame, joint) pair; rows are contiguous, positions are `*_stride` elements
 * apart, batch items `frames * joints * *_stride` apart, so a slice of the last axis needs no copy.
 * Where limb_mask[k] is set, direction k reads x[p] + x[limb(p)] and x_dbl[p] + x_dbl[limb(p)] with
 * limb(t, j) = (t, limb_index[j]); x_proj is linear, so this equals projecting the summed x.
 */
typedef struct pm_cross_scan_params {
  const void* x;     /* [batch, frames, joints, d_inner] */
  const void* x_dbl; /* [batch, frames, joints, directions * (dt_rank + 2 * d_state)]: dt, B, C */
  const float* dt_weight; /* [directions, d_inner, dt_rank] */
  const float* dt_bias;   /* [directions, d_inner] */
  const float* A;         /* [directions, d_inner, d_state], already -exp(A_log) */
  const float* D;         /* [directions, d_inner] */
  void* y;                /* [batch, frames, joints, d_inner] */
  int64_t batch;
  int64_t frames;
  int64_t x_stride;
  int64_t x_dbl_stride;
  int64_t y_stride;
  int32_t joints;
  int32_t d_inner;
  int32_t d_state;
  int32_t dt_rank;
  int32_t directions;
  int32_t dtype;                        /* pm_dtype */
  int32_t order[PM_MAX_DIRECTIONS];     /* pm_order */
  int32_t reverse[PM_MAX_DIRECTIONS];   /* 0 or 1: walk the order backwards */
  int32_t limb_mask[PM_MAX_DIRECTIONS]; /* 0 or 1: add the limb neighbour first */
  int32_t limb_index[PM_MAX_JOINTS];
  int32_t half_sums; /* 0 or 1: a channel's sum over its states may be float16; PM_FLOAT16 alone */
} pm_cross_scan_params;

/* Mamba-1 scan over rows of length L; channel c = g * channels + i belongs to group g.
 * D, z, delta_bias may be null. With z the output is y * silu(z). reverse[g] walks group g from its
 * last step to its first. Every tensor is contiguous.
 */
typedef struct pm_scan_params {
  const void* u;           /* [batch, groups * channels, length] */
  const void* delta;       /* as u */
  const float* A;          /* [groups * channels, d_state] */
  const void* B;           /* [batch, groups, d_state, length] */
  const void* C;           /* as B */
  const float* D;          /* [groups * channels] */
  const void* z;           /* as u */
  const float* delta_bias; /* [groups * channels] */
  void* y;                 /* as u */
  int64_t batch;
  int64_t length;
  int32_t groups;
  int32_t channels; /* per group */
  int32_t d_state;
  int32_t delta_softplus; /* 0 or 1 */
  int32_t dtype;          /* pm_dtype */
  int32_t reverse[PM_MAX_DIRECTIONS];
} pm_scan_params;

PM_API int32_t pm_abi_version(void);
/* Size in bytes of a struct of this API by its name, such as "pm_scan_params"; 0 for a name that
 * this library does not have. A caller that mirrors the structs, as ctypes does, compares. */
PM_API size_t pm_struct_size(const char* name);
PM_API const char* pm_status_string(pm_status status); /* one clause, static storage */

#ifdef __cplusplus
}
#endif
