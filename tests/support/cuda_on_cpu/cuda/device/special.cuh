// In the place of trt_plugins/kernels/cuda/device/special.cuh.
#pragma once

#include "cuda_runtime.h"

namespace posemamba::cuda {

inline float exp2_fast(float x) {
  const float r = std::exp2(x);
  return r < 0x1p-126f ? 0.0f : r;
}
inline float reciprocal_fast(float x) { return 1.0f / x; }
inline float select(int which, float a, float b) { return which != 0 ? b : a; }
inline uint32_t select(int which, uint32_t a, uint32_t b) { return which != 0 ? b : a; }
inline unsigned char* dynamic_shared() { return cuda_on_cpu::shared_memory(); }

}  // namespace posemamba::cuda
