// A warp's share of C = A * W^T on the tensor cores: fp16 operands, fp32 sums (mma.sync, sm_80 on).
//
// A sits in shared memory, row-major. W comes straight from global memory in fragment order
// (pack_weight in posemamba/native/packing.py): a warp reads its 16 columns by 16 inputs as one
// coalesced 512-byte load, several steps ahead, so weights need no shared memory and no barrier.
#pragma once

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

// Halves added to a row of A so that the eight rows an ldmatrix reads fall into different banks.
constexpr int kRowPad = 8;

// Four 8x8 matrices of halves; lane i gives the address of row i % 8 of matrix i / 8, on 16 bytes.
__device__ __forceinline__ void load_matrices(const __half* row, uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row)));
}

// The way back: lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void store_matrices(void* row, const uint4& bits) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
      "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w)
      : "memory");
#else
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const uint64_t to =
        __shfl_sync(~0u, reinterpret_cast<unsigned long long>(row), m * 8 + lane / 4);
    reinterpret_cast<uint32_t*>(to)[lane % 4] = words[m];
  }
#endif
}

// The 16x16 tile of A at `row0`, `k0` as the four registers of an mma operand. Rows start on 16
// bytes.
__device__ __forceinline__ void load_a(const __half* a, int stride, int row0, int k0, int lane,
                                       uint32_t (&to)[4]) {
  load_matrices(a + (row0 + lane % 16) * stride + k0 + lane / 16 * 8, to);
}

// c (16 rows, 8 columns) += a (16 x 16) * b (16 x 8).
__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// K inputs; a warp computes Rows16 * 16 rows of Tiles blocks of 16 columns. Words: 16-byte words of
// weights a lane keeps in flight, four registers each.
template <int K, int Rows16, int Tiles, int Words = 8>
struct WarpProduct {
  static constexpr int kSteps = K / 16;
  static constexpr int kAhead = kSteps < Words / Tiles ? kSteps : Words / Tiles;
  static_assert(kSteps % kAhead == 0, "whole rounds of prefetched steps");

  uint4 weights[kAhead][Tiles];
  float sum[Rows16][Tiles][2][4];  // [.][.][8-column half][mma register]
  const uint4* next;               // this lane's words of the first column tile

  // Starts the loads of the first steps; W does not depend on earlier kernels, so this may come
  // before anything has been waited for.
  __device__ __forceinline__ void prime(const void* packed, int tile, int lane) {
    next = static_cast<const uint4*>(packed) + tile * kSteps * 32 + lane;
#pragma unroll
    for (int s = 0; s < kAhead; ++s) {
#pragma unroll
      for (int t = 0; t < Tiles; ++t) weights[s][t] = __ldg(next + (t * kSteps + s) * 32);
    }
  }

  __device__ __forceinline__ void run(const __half* a, int stride, int row0, int lane) {
#pragma unroll
    for (int r = 0; r < Rows16; ++r) {
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
#pragma unroll
        for (int i = 0; i < 8; ++i) sum[r][t][i / 4][i % 4] = 0.0f;
      }
    }
#pragma unroll 1
    for (int s0 = 0; s0 < kSteps; s0 += kAhead) {
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
        uint32_t rows[Rows16][4];
#pragma unroll
        for (int r = 0; r < Rows16; ++r) {
          load_a(a, stride, row0 + r * 16, (s0 + s) * 16, lane, rows[r]);
        }
#pragma unroll
        for (int t = 0; t < Tiles; ++t) {
          const uint4 w = weights[s][t];
#pragma unroll
          for (int r = 0; r < Rows16; ++r) {
            mma(sum[r][t][0], rows[r], w.x, w.y);
            mma(sum[r][t][1], rows[r], w.z, w.w);
          }
          if (s0 + kAhead < kSteps) {
            weights[s][t] = __ldg(next + (t * kSteps + s0 + s + kAhead) * 32);
          }
        }
      }
    }
  }

  // put(row, column, two neighbouring values), `column` from the first tile's first.
  template <class Put>
  __device__ __forceinline__ void each(int row0, int lane, Put&& put) const {
#pragma unroll
    for (int r = 0; r < Rows16; ++r) {
#pragma unroll
      for (int t = 0; t < Tiles; ++t) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int row = row0 + r * 16 + lane / 4;
          const int column = t * 16 + h * 8 + lane % 4 * 2;
          put(row, column, make_float2(sum[r][t][h][0], sum[r][t][h][1]));
          put(row + 8, column, make_float2(sum[r][t][h][2], sum[r][t][h][3]));
        }
      }
    }
  }
};

__device__ __forceinline__ uint32_t half_pair(float x, float y) {
  const __half2 two = __floats2half2_rn(x, y);
  return *reinterpret_cast<const uint32_t*>(&two);
}
__device__ __forceinline__ void put_half2(__half* to, float2 v) {
  *reinterpret_cast<__half2*>(to) = __floats2half2_rn(v.x, v.y);
}

}  // namespace posemamba::cuda
