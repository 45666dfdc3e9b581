/* CUDA launchers of the gradients, as those of scan_cuda.h: asynchronous, nothing allocated,
 * capturable. `tuning` may be null; what its fields choose is the design's to say. */
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
