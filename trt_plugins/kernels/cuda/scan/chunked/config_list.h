// The compiled configurations, in the order `pm_cuda_tuning::config` counts them (from 1).
#pragma once

#include <tuple>

#include "cuda/scan/chunked/config.h"

namespace posemamba::cuda {

using Configs =
    std::tuple<Config<16, 2, 64, 4, 2>,   // 1: two channels a lane
               Config<16, 1, 32, 4, 2>,   // 2: one, for few channels
               Config<64, 1, 16, 2, 1>,   // 3: d_state 17 to 64
               Config<16, 1, 64, 4, 1>,   // 4: 8 scan warps where a block has an SM
               Config<16, 1, 64, 8, 1>>;  // 5: and 8 producers, for rows along the steps
constexpr int kConfigs = std::tuple_size_v<Configs>;

}  // namespace posemamba::cuda
