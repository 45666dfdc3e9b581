// Launcher of the resident design.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/split_channel/prepared.h"
#include "cuda/scan/split_channel/resident/plan.h"

namespace posemamba::cuda {
struct CrossArgs;
}

namespace posemamba::cuda::resident {

// The scan of what is prepared, `from.clear` among it: its blocks' exchange. `args` is complete but
// for the division.
cudaError_t launch_scan(const Division& division, const split_channel::Prepared& from,
                        const Device& device, cudaStream_t stream, CrossArgs* args);

}  // namespace posemamba::cuda::resident
