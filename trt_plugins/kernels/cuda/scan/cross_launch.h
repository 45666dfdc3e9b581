// The scan of CrossSelectiveScan up to its directional outputs; whoever sums them follows.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/cross_args.cuh"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {

// Enqueues the scan launches and fills `args`, which then holds what a merge needs; `workspace` is
// as pm_cuda_cross_scan_workspace says. The pointers of `params`, y excepted, must be valid.
cudaError_t launch_cross_scan(const pm_cross_scan_params& params, const pm_cuda_tuning* tuning,
                              void* workspace, const Device& device, cudaStream_t stream,
                              CrossArgs* args);

}  // namespace posemamba::cuda
