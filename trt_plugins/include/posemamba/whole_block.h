/* A block whose u and x_dbl lie in its workspace: what an adapter gives pm_cuda_block where nobody
 * else reads them.
 */
#pragma once

#include "posemamba/block_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_block_params {
  pm_conv_proj_params conv;  /* u and x_dbl are placed by pm_place_scan_inputs, */
  pm_block_tail_params tail; /* tail.scan.x and x_dbl too */
} pm_block_params;

static inline size_t pm_whole_256_bytes(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* Bytes of u (`channels`) or x_dbl (`columns`) for all positions, in float16. */
static inline size_t pm_scan_input_bytes(const pm_conv_proj_params* conv, int32_t channels) {
  return pm_whole_256_bytes(2 * (size_t)conv->batch * (size_t)conv->frames * (size_t)conv->joints *
                            (size_t)channels);
}

/* Bytes of the workspace: that of the scan, of `scan` bytes, then u, then x_dbl. */
static inline size_t pm_block_workspace(const pm_conv_proj_params* conv, size_t scan) {
  return pm_whole_256_bytes(scan) + pm_scan_input_bytes(conv, conv->channels) +
         pm_scan_input_bytes(conv, conv->columns);
}

/* Points both launchers at u and x_dbl in a workspace of 256-byte alignment. */
static inline void pm_place_scan_inputs(pm_block_params* params, void* workspace, size_t scan) {
  char* const u = (char*)workspace + pm_whole_256_bytes(scan);
  pm_conv_proj_params* const conv = &params->conv;
  conv->u = u;
  conv->x_dbl = u + pm_scan_input_bytes(conv, conv->channels);
  params->tail.scan.x = conv->u;
  params->tail.scan.x_dbl = conv->x_dbl;
}

#ifdef __cplusplus
}
#endif
