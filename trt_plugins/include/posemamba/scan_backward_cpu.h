/* CPU launchers of the gradients, as those of scan_cpu.h. States are recomputed, none is kept from
 * the forward pass. */
#pragma once

#include "posemamba/scan_backward.h"
#include "posemamba/scan_cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

PM_API size_t pm_cpu_cross_scan_backward_workspace(const pm_cross_scan_backward_params* params,
                                                   int32_t threads);
PM_API pm_status pm_cpu_cross_scan_backward(const pm_cross_scan_backward_params* params,
                                            void* workspace, const pm_parallel* parallel);

PM_API size_t pm_cpu_scan_backward_workspace(const pm_scan_backward_params* params,
                                             int32_t threads);
PM_API pm_status pm_cpu_scan_backward(const pm_scan_backward_params* params, void* workspace,
                                      const pm_parallel* parallel);

#ifdef __cplusplus
}
#endif
