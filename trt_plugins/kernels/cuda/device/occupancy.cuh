// How many blocks of a kernel an SM is to hold, for __launch_bounds__.
#pragma once

namespace posemamba::cuda {

// `blocks`, and one less from sm_100 on: there the compiler wants some registers more for the same
// source, and would spill.
constexpr int blocks_of_sm(int blocks) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
  return blocks - 1;
#else
  return blocks;
#endif
}

}  // namespace posemamba::cuda
