// The compiled kernels, by configuration and type, as the runtime's launch call wants them.
#pragma once

#include <cstdint>

#include "cuda/device/launch.h"

namespace posemamba::cuda {

Kernel cross_kernel_f16(int32_t config, int32_t dt_rank);
Kernel cross_kernel_f32(int32_t config, int32_t dt_rank);
Kernel table_kernel_f16(int32_t config, int32_t dt_rank);  // version 2
Kernel table_kernel_f32(int32_t config, int32_t dt_rank);
Kernel scan_kernel_f16(int32_t config);
Kernel scan_kernel_f32(int32_t config);

}  // namespace posemamba::cuda
