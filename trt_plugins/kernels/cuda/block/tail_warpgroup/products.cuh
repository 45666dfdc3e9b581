// Products of a block's rows with the weights as the left operand: a warpgroup instruction takes 64
// outputs by 16 inputs from the registers of its four warps, a packed tile each, and 16 or 32 rows
// from shared memory, once for all four. Its sums are few registers (8 or 16 a lane), so weights
// that are used later have room beside them.
#pragma once

#include "cuda/block/wgmma.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {

// Rows of shared memory as core matrices of 8 rows by 8 channels, rows fastest. Blocks of eight
// channels are 16 bytes further apart than they need for every row that a warp writes at once, so
// that the writers hit all banks.
template <int Rows, int AtOnce>
struct CoreRows {
  static constexpr int kBlock = Rows * 8 + AtOnce * 8;  // halves from eight channels to the next
  // What 16 inputs add to a descriptor.
  static constexpr uint64_t kStep = 2 * kBlock * sizeof(__half) / 16;

  static constexpr int size(int channels) { return channels / 8 * kBlock; }
  static __device__ __forceinline__ int at(int row, int channel) {
    return channel / 8 * kBlock + row * 8 + channel % 8;
  }
  // What the tensor cores take for 16 inputs from `from` on: where they lie, and how far it is from
  // core matrix to core matrix along the inputs, then along the rows.
  static __device__ __forceinline__ uint64_t descriptor(const __half* from) {
    constexpr uint64_t kInputs = kBlock * sizeof(__half);
    return uint64_t{(shared_address(from) & 0x3ffff) >> 4} | kInputs >> 4 << 16 |
           uint64_t{128 >> 4} << 32;
  }
};

// A warp's 16 outputs of Rows rows: lane (g, p) = (lane / 4, lane % 4) holds outputs g (0, 1) and
// g + 8 (2, 3) of the rows 8 j + 2 p and the next.
template <int Rows>
using OutputSums = float[Rows / 8][4];

// Writes a warp's outputs as halves: at(row, output) is where eight outputs of a row go.
template <int Groups, class At>
__device__ __forceinline__ void store_outputs(const float (&sums)[Groups][4], int lane, At&& at) {
#if __CUDA_ARCH__ >= 900
#pragma unroll
  for (int j = 0; j < Groups; j += 2) {
    uint32_t words[4];  // rows 8 j: outputs 0 to 7, 8 to 15; the next eight rows: the same
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float (&from)[4] = sums[j + i / 2];
      const __half2 two = __floats2half2_rn(from[i % 2 * 2], from[i % 2 * 2 + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&two);
    }
    const __half* to = at((j + lane / 16) * 8 + lane % 8, lane / 8 % 2 * 8);
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                     shared_address(to)),
                 "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
  }
#endif
}

}  // namespace posemamba::cuda
