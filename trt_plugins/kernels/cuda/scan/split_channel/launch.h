// Launcher of the split-channel design: the preparing kernel, then the scan.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda {
struct CrossArgs;
}

namespace posemamba::cuda::split_channel {

// Bytes of workspace for what is prepared, a multiple of 256.
std::size_t prepared_bytes(const pm_cross_scan_params& params);

const void* prepare_kernel_of(int32_t dt_rank);

// Where what is prepared lies in `memory`, which is 256-byte aligned.
Prepared prepared_in(void* memory, const pm_cross_scan_params& params);

// Makes it from x and x_dbl.
cudaError_t launch_prepare(const pm_cross_scan_params& params, const Prepared& to,
                           const CrossArgs& args, const Device& device, cudaStream_t stream);

// The scan of what is prepared. `args` is complete but for the division of the channels.
cudaError_t launch_scan(const pm_cross_scan_params& params, OnePass config, const Prepared& from,
                        const Device& device, cudaStream_t stream, CrossArgs* args);

}  // namespace posemamba::cuda::split_channel
