// The scan of CrossSelectiveScan up to its directional outputs; whoever sums them follows.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/prepared.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {

// Bytes at the front of a float16 workspace that no scan touches: room for the matrices of a block
// of so many inner channels, which a tail writes in another order, so that blocks need no workspace
// of their own. 0 where there is no such tail.
constexpr std::size_t scan_front_bytes(int32_t d_inner) {
  const auto inner = static_cast<std::size_t>(d_inner);
  return d_inner == 128 || d_inner == 256 || d_inner == 512 ? 5 * inner * inner : 0;
}

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
