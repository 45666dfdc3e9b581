// The persistent tail of d_model 256, on sm_90a.
#pragma once

#include "cuda/block/tail.h"

namespace posemamba::cuda {

cudaError_t launch_tail_apart(const pm_block_tail_params& params, const CrossArgs& scan,
                              void* workspace, const Device& device, cudaStream_t stream);

// What a thread block of it needs of shared memory.
std::size_t tail_apart_shared_bytes();

}  // namespace posemamba::cuda
