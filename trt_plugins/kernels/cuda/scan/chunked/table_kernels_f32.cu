#include "cuda/scan/chunked/kernel_table.cuh"

namespace posemamba::cuda {

Kernel table_kernel_f32(int32_t config, int32_t dt_rank) {
  return cross_of<float, TableWalk>(config, dt_rank, std::make_index_sequence<kConfigs>());
}

}  // namespace posemamba::cuda
