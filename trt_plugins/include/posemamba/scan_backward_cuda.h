/* CUDA launchers of the gradients, as those of scan_cuda.h: asynchronous, nothing allocated,
 * capturable. d_inner (channels) is any number up to 2^24; what no grid holds is
 * cudaErrorInvalidValue, with a workspace of 0. They keep no states from the forward pass:
 * `states` is cudaErrorNotSupported. `tuning` is null or all zero: there is one way to run. */
#pragma once

#include "posemamba/scan_backward.h"
#include "posemamba/scan_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

PM_API size_t pm_cuda_cross_scan_backward_workspace(const pm_cross_scan_backward_params* params,
                                                    const pm_cuda_tuning* tuning);
PM_API cudaError_t pm_cuda_cross_scan_backward(const pm_cross_scan_backward_params* params,
                                               const pm_cuda_tuning* tuning, void* workspace,
                                               cudaStream_t stream);

PM_API size_t pm_cuda_scan_backward_workspace(const pm_scan_backward_params* params,
                                              const pm_cuda_tuning* tuning);
PM_API cudaError_t pm_cuda_scan_backward(const pm_scan_backward_params* params,
                                         const pm_cuda_tuning* tuning, void* workspace,
                                         cudaStream_t stream);

#ifdef __cplusplus
}
#endif
