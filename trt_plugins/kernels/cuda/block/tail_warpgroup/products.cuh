// Products of a block's rows with the weights as the left operand: a warpgroup instruction takes 64
// outputs by 16 inputs from the registers of its four warps, a packed tile each, and 16 or 32 rows
// from shared memory, once for all four. Sums are few (two or four a row of eight), so registers
// hold weights that are used much later.
#pragma once

#include <cuda_fp16.h>

#include "cuda/block/tail_persistent/wgmma.cuh"

namespace posemamba::cuda {

// Rows of shared memory as core matrices of 8 rows by 8 channels, rows fastest. Blocks of eight
// channels are 16 bytes further apart than they need, so that a row's writers hit all banks.
template <int Rows>
struct CoreRows {
  static constexpr int kBlock = Rows * 8 + 8;  // halves from eight channels to the next

  static constexpr int size(int channels) { return channels / 8 * kBlock; }
  static __device__ __forceinline__ int at(int row, int channel) {
    return channel / 8 * kBlock + row * 8 + channel % 8;
  }
  // What the tensor cores take for 16 inputs from `from` on; and what the next 16 add to it.
  static constexpr uint64_t kNext = 2 * kBlock * 2 / 16;
  static __device__ __forceinline__ uint64_t descriptor(const __half* from) {
    return uint64_t{(shared_address(from) & 0x3ffff) >> 4} | uint64_t{kBlock * 2 >> 4} << 16 |
           uint64_t{128 >> 4} << 32;
  }
};

// A warp's 16 outputs of Rows rows: lane (g, p) = (lane / 4, lane % 4) holds outputs g (0, 1) and
// g + 8 (2, 3) of the rows 8 j + 2 p and the next.
template <int Rows>
using OutputSums = float[Rows / 8][4];

#define POSEMAMBA_FOUR(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])

// c += (or, where `add` is 0, =) the packed tile of each warp * 16 inputs of 32 rows.
__device__ __forceinline__ void product_of_weights(float (&c)[4][4], const uint32_t (&a)[4],
                                                   uint64_t rows, int add) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "{.reg .pred add; setp.ne.s32 add, %21, 0; "
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "{%16, %17, %18, %19}, %20, add, 1, 1, 0;}"
      : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1), POSEMAMBA_FOUR(2), POSEMAMBA_FOUR(3)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(rows), "r"(add));
#endif
}
// The same for 16 rows.
__device__ __forceinline__ void product_of_weights(float (&c)[2][4], const uint32_t (&a)[4],
                                                   uint64_t rows, int add) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "{.reg .pred add; setp.ne.s32 add, %13, 0; "
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, %12, add, 1, 1, 0;}"
      : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(rows), "r"(add));
#endif
}
#undef POSEMAMBA_FOUR

// Writes a warp's 16 outputs as halves: at(row, output) is where eight outputs of a row go.
template <int Groups, class At>
__device__ __forceinline__ void store_outputs(const float (&c)[Groups][4], int lane, At&& at) {
#if __CUDA_ARCH__ >= 900
#pragma unroll
  for (int j = 0; j < Groups; j += 2) {
    uint32_t words[4];  // rows 8 j: outputs 0 to 7, 8 to 15; the next eight rows: the same
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const __half2 two =
          __floats2half2_rn(c[j + i / 2][i % 2 * 2], c[j + i / 2][i % 2 * 2 + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&two);
    }
    const __half* to = at((j + lane / 16) * 8 + lane % 8, lane / 8 % 2 * 8);
    asm volatile(
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
            shared_address(to)),
        "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
        : "memory");
  }
#endif
}

}  // namespace posemamba::cuda
