// In the place of trt_plugins/kernels/cuda/device/copy_async.cuh: a copy is complete at once.
#pragma once

#include <cstring>

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

inline void copy_async(void* to, const void* from) { std::memcpy(to, from, 16); }
inline void copies_done() {}

}  // namespace posemamba::cuda
