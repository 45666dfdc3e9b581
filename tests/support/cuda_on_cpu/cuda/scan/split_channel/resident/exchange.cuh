// In the place of trt_plugins/kernels/cuda/scan/split_channel/resident/exchange.cuh: blocks run one
// after another, so what a block wants to hear has been told, or never will be.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "cuda_runtime.h"

namespace posemamba::cuda::resident {

constexpr unsigned kUntold = ~0u;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "block %u: %s\n", blockIdx.x, what);
  std::abort();
}
inline void tell(float* to, float v) {
  if (__float_as_uint(*to) != kUntold) fail("not cleared, or told twice");
  *to = v;
}
inline float look(const float* from) {
  if (__float_as_uint(*from) == kUntold) fail("waits for what nobody tells");
  return *from;
}

}  // namespace posemamba::cuda::resident
