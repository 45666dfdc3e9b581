// The operators around the scan as plain loops in float32, one thread: what the CUDA kernels of
// posemamba/block_cuda.h compute, for checking rewritten models where there is no GPU.
#pragma once

#include "posemamba/block.h"

namespace posemamba::ort {

void conv_silu_cpu(const pm_conv_silu_params& params);
void gated_norm_cpu(const pm_gated_norm_params& params);
void add_norm_cpu(const pm_add_norm_params& params);

}  // namespace posemamba::ort
