/* CUDA launchers. Asynchronous on `stream`; no allocation, no synchronisation, no default stream,
 * so a launch can be captured in a CUDA graph. Limits beyond those of scan.h: d_inner (channels)
 * must be a multiple of 8, batch at most 65535, and one batch item's x and x_dbl at most 2 GiB when
 * counted as float32 (cudaErrorNotSupported otherwise; cudaErrorInvalidValue for params that
 * validation rejects). d_state 16 is fast, other sizes up to PM_MAX_STATE are correct. */
#pragma once

#include <cuda_runtime_api.h>

#include "posemamba/scan.h"
#include "posemamba/scan_v2.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The GPUs this build has code for, such as "sm87 sm90 ptx90": compiled code, then PTX, which a
 * driver compiles for newer ones. Static storage; needs no GPU. */
PM_API const char* pm_cuda_architectures(void);

/* Whether a sequence is cut into chunks (two passes) or scanned serially; PM_CUDA_AUTO picks by the
 * heuristic docs/design/kernels.md describes. The one-pass configurations are serial, always. */
typedef enum pm_cuda_variant {
  PM_CUDA_AUTO = 0,
  PM_CUDA_CHUNKED = 1,
  PM_CUDA_SERIAL = 2
} pm_cuda_variant;

/* Tuning overrides; zero means automatic. A configuration that has no kernel for the shape, or
 * whose rows are not aligned for it, is refused; left to itself the launcher finds one that can. */
typedef struct pm_cuda_tuning {
  int32_t variant; /* pm_cuda_variant */
  int32_t chunks;  /* how many pieces PM_CUDA_CHUNKED cuts a sequence into */
  int32_t config;  /* kernel configuration, counted from 1; docs/design/kernels.md lists them */
} pm_cuda_tuning;

/* Bytes of device workspace (256-byte aligned by the caller), 0 for invalid params, unsupported
 * sizes, impossible tuning or no usable device. `tuning` may be null. The answer depends on the
 * current device: ask and launch on the same one, with the same tuning. */
PM_API size_t pm_cuda_cross_scan_workspace(const pm_cross_scan_params* params,
                                           const pm_cuda_tuning* tuning);
PM_API cudaError_t pm_cuda_cross_scan(const pm_cross_scan_params* params,
                                      const pm_cuda_tuning* tuning, void* workspace,
                                      cudaStream_t stream);

/* Bytes that suffice for `largest` and for every smaller batch, frames or length, with any tuning
 * whose `chunks` is 0, on any device: what to reserve where the device or the shape is not known
 * yet, as in an engine built ahead of time. Needs no device; 0 for invalid or unsupported params.
 */
PM_API size_t pm_cuda_cross_scan_workspace_limit(const pm_cross_scan_params* largest);
PM_API size_t pm_cuda_scan_workspace_limit(const pm_scan_params* largest);

PM_API size_t pm_cuda_scan_workspace(const pm_scan_params* params, const pm_cuda_tuning* tuning);
PM_API cudaError_t pm_cuda_scan(const pm_scan_params* params, const pm_cuda_tuning* tuning,
                                void* workspace, cudaStream_t stream);

/* Version 2. d_inner (channels) is any number, and tables are read on the device. An indexed scan
 * of at most PM_MAX_STATE states and 8 n channels is a chunked scan and takes such tuning; every
 * other one is slower, and its tuning null or all zero, as that of a scan with a state. */
PM_API size_t pm_cuda_indexed_scan_workspace(const pm_indexed_scan_params* params,
                                             const pm_cuda_tuning* tuning);
PM_API size_t pm_cuda_indexed_scan_workspace_limit(const pm_indexed_scan_params* largest);
PM_API cudaError_t pm_cuda_indexed_scan(const pm_indexed_scan_params* params,
                                        const pm_cuda_tuning* tuning, void* workspace,
                                        cudaStream_t stream);

PM_API size_t pm_cuda_stateful_scan_workspace(const pm_stateful_scan_params* params,
                                              const pm_cuda_tuning* tuning);
PM_API size_t pm_cuda_stateful_scan_workspace_limit(const pm_stateful_scan_params* largest);
PM_API cudaError_t pm_cuda_stateful_scan(const pm_stateful_scan_params* params,
                                         const pm_cuda_tuning* tuning, void* workspace,
                                         cudaStream_t stream);

#ifdef __cplusplus
}
#endif
