#include "cuda/scan/chunked/kernel_table.cuh"

namespace posemamba::cuda {

Kernel cross_kernel_f16(int32_t config, int32_t dt_rank) {
  return cross_of<__half, GridWalk>(config, dt_rank, std::make_index_sequence<kConfigs>());
}
Kernel scan_kernel_f16(int32_t config) {
  return scan_of<__half>(config, std::make_index_sequence<kConfigs>());
}

}  // namespace posemamba::cuda
