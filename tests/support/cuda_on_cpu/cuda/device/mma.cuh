// In the place of trt_plugins/kernels/cuda/device/mma.cuh: the lanes of a warp hand each other what
// the instructions would.
#pragma once

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

constexpr int kRowPad = 8;
constexpr int kMostThreads = 1024;

// What every thread gives, read between two meetings of its warp.
template <class T>
struct Given {
  T of[kMostThreads];
  T* warp() { return of + threadIdx.x / 32 * 32; }
  void give(const T& mine) {
    of[threadIdx.x] = mine;
    __syncwarp();
  }
};

inline void load_matrices(const __half* row, uint32_t (&to)[4]) {
  static Given<const __half*> rows;
  rows.give(row);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned m = 0; m < 4; ++m) {
    std::memcpy(to + m, rows.warp()[m * 8 + lane / 4] + lane % 4 * 2, 4);
  }
  __syncwarp();
}

inline void store_matrices(void* row, const uint4& bits) {
  static Given<void*> rows;
  rows.give(row);
  const unsigned lane = threadIdx.x % 32;
  const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
  for (unsigned m = 0; m < 4; ++m) {
    std::memcpy(static_cast<char*>(rows.warp()[m * 8 + lane / 4]) + lane % 4 * 4, words + m, 4);
  }
  __syncwarp();
}

// The fragments of PTX's mma.m16n8k16.
inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Operands {
    __half a[8], b[4];
  };
  static Given<Operands> operands;
  Operands mine;
  std::memcpy(mine.a, a, sizeof mine.a);
  std::memcpy(mine.b, &b0, 4), std::memcpy(mine.b + 2, &b1, 4);
  operands.give(mine);
  const unsigned lane = threadIdx.x % 32;
  const Operands* warp = operands.warp();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4, half = i / 2, column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned quad = k % 8 / 2;
      c[i] += static_cast<float>(warp[row * 4 + quad].a[k / 8 * 4 + half * 2 + k % 2]) *
              static_cast<float>(warp[column * 4 + quad].b[k / 8 * 2 + k % 2]);
    }
  }
  __syncwarp();
}

inline uint32_t half_pair(float x, float y) {
  const __half2 two = __floats2half2_rn(x, y);
  uint32_t bits;
  std::memcpy(&bits, &two, 4);
  return bits;
}

}  // namespace posemamba::cuda
