/* Version 2 of both operators (docs/reference/ops.md): a scan that walks tables of positions, and a
 * scan whose state goes in and out. What version 1 can say, it says faster; scan.h has it, and the
 * rules that every launcher keeps.
 */
#pragma once

#include "posemamba/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PM_MAX_WIDE_STATE 256 /* d_state of version 2 */

/* CrossSelectiveScan, version 2: y[b,p,:] = sum over directions k and steps s with
 * scan_index[k,s] = p of scan_k(...)[b,s,:], accumulated in float32; 0 where no step visits p.
 *
 * Rows are contiguous, positions are `*_stride` elements apart, batch items `positions * *_stride`
 * apart. Step s of direction k reads
 *   x[scan_index[k,s]] + x[neighbour_index[k,s]]   and   x_dbl of the same two positions,
 * without the second term where neighbour_index is null or holds -1 there. A position may be
 * visited any number of times, or never. Where scan_index holds -1 the step is idle: it leaves the
 * state as it is and writes nothing, so directions may have fewer steps than `steps`. The state is
 * zero at every step whose number is a multiple of reset_length[k]; 0: at step 0 alone.
 *
 * The tables are where the tensors are. A launcher on the CPU refuses an entry out of range with
 * PM_BAD_ORDER. One on a GPU cannot look: an index beyond the positions makes that step's input
 * NaN, and so everything its direction writes until the state is reset; below -1 it is idle, or
 * adds nothing; a reset_length below 0 is 0.
 */
typedef struct pm_indexed_scan_params {
  const void* x;          /* [batch, positions, d_inner] */
  const void* x_dbl;      /* [batch, positions, directions * (dt_rank + 2 * d_state)]: dt, B, C */
  const float* dt_weight; /* [directions, d_inner, dt_rank] */
  const float* dt_bias;   /* [directions, d_inner] */
  const float* A;         /* [directions, d_inner, d_state], already -exp(A_log) */
  const float* D;         /* [directions, d_inner] */
  const int32_t* scan_index;      /* [directions, steps], -1 to positions - 1 */
  const int32_t* neighbour_index; /* as scan_index; may be null */
  const int32_t* reset_length;    /* [directions], at least 0; may be null: all 0 */
  void* y;                        /* [batch, positions, d_inner] */
  int64_t batch;
  int64_t positions;
  int64_t steps;
  int64_t x_stride;
  int64_t x_dbl_stride;
  int64_t y_stride;
  int32_t d_inner;
  int32_t d_state; /* at most PM_MAX_WIDE_STATE */
  int32_t dt_rank;
  int32_t directions;
  int32_t dtype; /* pm_dtype */
} pm_indexed_scan_params;

/* SelectiveScan, version 2: the state before the first step of each group's direction is
 * initial_state, and final_state becomes the state after its last. Either may be null (zero; not
 * wanted), both may be one buffer. Null both, it is the scan of scan.h. `scan.d_state` may be up to
 * PM_MAX_WIDE_STATE, and `scan.length` 0: then there is no y and the state stays as it is.
 */
typedef struct pm_stateful_scan_params {
  pm_scan_params scan;
  const float* initial_state; /* [batch, groups * channels, d_state] */
  float* final_state;         /* as initial_state */
} pm_stateful_scan_params;

#ifdef __cplusplus
}
#endif
