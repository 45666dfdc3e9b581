// SelectiveScan with lanes along the sequence: for few states, and for short rows of few channels.
#pragma once

#include "cuda/device/launch.h"

namespace posemamba::cuda::along_time {

// Its number in pm_cuda_tuning::config.
constexpr int32_t kConfig = 11;

// Whether there is a kernel for the shape.
bool fits(const pm_scan_params& params);

// Whether it was the fastest on shapes like this one (docs/design/kernels.md).
bool wins(const pm_scan_params& params, const Device& device);

// Needs no workspace.
cudaError_t run(const pm_scan_params& params, const Device& device, cudaStream_t stream);

}  // namespace posemamba::cuda::along_time
