// CrossSelectiveScan, version 2, for any size: slower than a chunked scan along the same tables.
#pragma once

#include "cuda/device/launch.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda::indexed {

bool supported(const pm_indexed_scan_params& params);
std::size_t workspace_bytes(const pm_indexed_scan_params& params);
cudaError_t run(const pm_indexed_scan_params& params, void* workspace, const Device& device,
                cudaStream_t stream);

}  // namespace posemamba::cuda::indexed
