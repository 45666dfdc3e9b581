/* CUDA launchers of what surrounds the scan in a PoseMamba block, channels last throughout, see
 * block.h. Same rules as scan_cuda.h: asynchronous on `stream`, no allocation, no synchronisation,
 * capturable. `channels` must be a multiple of 4, at most PM_MAX_NORM_CHANNELS in the norms; every
 * row starts on a multiple of four elements.
 */
#ifndef POSEMAMBA_BLOCK_CUDA_H_
#define POSEMAMBA_BLOCK_CUDA_H_

#include <cuda_runtime_api.h>

#include "posemamba/block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PM_MAX_NORM_CHANNELS 1024

PM_API cudaError_t pm_cuda_conv_silu(const pm_conv_silu_params* params, cudaStream_t stream);
PM_API cudaError_t pm_cuda_gated_norm(const pm_gated_norm_params* params, cudaStream_t stream);
PM_API cudaError_t pm_cuda_add_norm(const pm_add_norm_params* params, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif /* POSEMAMBA_BLOCK_CUDA_H_ */
