#include "cuda/scan/chunked/kernel_table.cuh"

namespace posemamba::cuda {

Kernel cross_kernel_f32(int32_t config, int32_t dt_rank) {
  return cross_of<float, GridWalk>(config, dt_rank, std::make_index_sequence<kConfigs>());
}
Kernel scan_kernel_f32(int32_t config) {
  return scan_of<float>(config, std::make_index_sequence<kConfigs>());
}

}  // namespace posemamba::cuda
