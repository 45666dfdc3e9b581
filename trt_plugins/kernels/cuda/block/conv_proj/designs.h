// The designs of conv_proj: both compute the same, of parameters that have been checked.
#pragma once

#include "cuda/device/launch.h"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

// A thread block for every 32 positions.
cudaError_t launch_conv_proj_single(const pm_conv_proj_params& params, const Device& device,
                                    cudaStream_t stream);

// One thread block a multiprocessor that keeps x_proj's weights in shared memory.
cudaError_t launch_conv_proj_persistent(const pm_conv_proj_params& params, const Device& device,
                                        cudaStream_t stream);

// Whether the persistent design runs these sizes on this device, and is the faster one.
bool conv_proj_persists(const pm_conv_proj_params& params, const Device& device);

}  // namespace posemamba::cuda
