// The scan of CrossSelectiveScan up to its directional outputs; whoever sums them follows.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/prepared.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {

// Bytes at the front of the workspace of a float16 scan of 256 channels that no scan touches: room
// for what a block's tail makes of its weights, so that blocks need no workspace of their own.
constexpr std::size_t kScanFrontBytes = 320 * 1024;
constexpr int32_t kScanFrontChannels = 256;

// Enqueues the scan launches and fills `args`, which then holds what a merge needs; `workspace` is
// as pm_cuda_cross_scan_workspace says. The pointers of `params`, y excepted, must be valid.
cudaError_t launch_cross_scan(const pm_cross_scan_params& params, const pm_cuda_tuning* tuning,
                              void* workspace, const Device& device, cudaStream_t stream,
                              CrossArgs* args);

// A scan in two parts, where the launcher left to itself chooses a design that reads prepared rows
// and no x_dbl: whoever computes them writes `prepared`, then launches.
struct PreparedScan {
  OnePass config;
  split_channel::Prepared prepared;  // in the workspace
  CrossArgs args;                    // what a merge needs, once it is launched
};
// False where another design is chosen.
bool plan_prepared_scan(const pm_cross_scan_params& params, void* workspace, const Device& device,
                        PreparedScan* plan);
cudaError_t launch_prepared_scan(const pm_cross_scan_params& params, const Device& device,
                                 cudaStream_t stream, PreparedScan* plan);

}  // namespace posemamba::cuda
