#include "common/abi.h"

#include "posemamba/block_cuda.h"
#include "posemamba/scan_cuda.h"

namespace {

constexpr posemamba::StructSize kSizes[] = {
    {"pm_cuda_tuning", sizeof(pm_cuda_tuning)},
    {"pm_conv_proj_params", sizeof(pm_conv_proj_params)},
    {"pm_next_params", sizeof(pm_next_params)},
    {"pm_block_tail_params", sizeof(pm_block_tail_params)},
    {"pm_embed_params", sizeof(pm_embed_params)},
};

}  // namespace

extern "C" size_t pm_struct_size(const char* name) {
  const size_t bytes = posemamba::find_size(kSizes, sizeof kSizes / sizeof kSizes[0], name);
  return bytes != 0 ? bytes : posemamba::struct_size(name);
}

// From the build: CMake knows which of them are code and which are PTX.
extern "C" const char* pm_cuda_architectures(void) { return POSEMAMBA_CUDA_CODE; }
