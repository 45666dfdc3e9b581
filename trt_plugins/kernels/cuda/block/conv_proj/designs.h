// The designs of conv_proj, of parameters that have been checked.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/split_channel/prepared.h"
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

// 512 channels and 192 columns on sm_90a: a launch for the convolution, one for the product.
// Whether this device runs it at these sizes; and whether it is the faster one.
cudaError_t launch_conv_proj_parted(const pm_conv_proj_params& params, const Device& device,
                                    cudaStream_t stream);
bool conv_proj_can_part(const pm_conv_proj_params& params, const Device& device);
bool conv_proj_parts(const pm_conv_proj_params& params, const Device& device);

// Two that write u and, instead of x_dbl, what a split-channel scan reads of both; `scan` says how
// it walks. A thread block for a few whole frames, if it has room for one:
bool conv_proj_prepares(const pm_conv_proj_params& params, const Device& device);
// and if every block gets a multiprocessor at once.
bool conv_proj_prepares_at_once(const pm_conv_proj_params& params, const Device& device);
cudaError_t launch_conv_proj_prepared(const pm_conv_proj_params& params, const CrossArgs& scan,
                                      const split_channel::Prepared& to, const Device& device,
                                      cudaStream_t stream);
// And one thread block a multiprocessor, which walks through all frames, for batches.
bool conv_proj_walks(const pm_cross_scan_params& scan, const Device& device);
cudaError_t launch_conv_proj_walked(const pm_conv_proj_params& params, const CrossArgs& scan,
                                    const split_channel::Prepared& to, const Device& device,
                                    cudaStream_t stream);

}  // namespace posemamba::cuda
