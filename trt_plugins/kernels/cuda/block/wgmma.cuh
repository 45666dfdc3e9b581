// Warpgroup products of sm_90a: four warps multiply 64 rows by weights that the tensor cores read
// from shared memory themselves. Accumulators lie as those of mma.sync do.
//
// Weights of `outputs` outputs lie in core matrices of 8 outputs by 8 inputs, 128 contiguous bytes,
// outputs fastest, not swizzled: row (input block k8, output n), 16 bytes of eight inputs, is the
// `k8 * outputs + n`th.
#pragma once

#include <cuda_fp16.h>

#include "cuda/device/device.cuh"

namespace posemamba::cuda {

// The column that 32 columns are reordered by so that the accumulators of a lane are eight
// neighbours: column 8 p + 2 t + j is put at 8 t + 2 p + j. It is its own inverse.
__host__ __device__ constexpr int neighbours_of_32(int n) {
  return n / 32 * 32 + n / 2 % 4 * 8 + n / 8 % 4 * 2 + n % 2;
}

// Orders this thread's writes to shared memory before the tensor cores' reads.
__device__ __forceinline__ void writes_before_products() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// All threads of a warpgroup wait for each other.
__device__ __forceinline__ void warpgroup_meets([[maybe_unused]] int group) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");  // 0 is the block's
#endif
}

#define POSEMAMBA_FOUR(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define POSEMAMBA_EIGHT(i)                                                                \
  POSEMAMBA_FOUR(i), POSEMAMBA_FOUR(i + 1), POSEMAMBA_FOUR(i + 2), POSEMAMBA_FOUR(i + 3), \
      POSEMAMBA_FOUR(i + 4), POSEMAMBA_FOUR(i + 5), POSEMAMBA_FOUR(i + 6), POSEMAMBA_FOUR(i + 7)

// Before the first of some products: what wrote c and a is done, and stays before them.
template <int Tiles, int Steps>
__device__ __forceinline__ void products_begin(float (&c)[Tiles][4], uint32_t (&a)[Steps][4]) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#pragma unroll
  for (int i = 0; i < Tiles; ++i) asm volatile("" : POSEMAMBA_FOUR(i)::"memory");
#pragma unroll
  for (int i = 0; i < Steps; ++i) {
    asm volatile("" : "+r"(a[i][0]), "+r"(a[i][1]), "+r"(a[i][2]), "+r"(a[i][3])::"memory");
  }
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void products_under_way() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Waits until all but the last `Left` groups of products are complete.
template <int Left>
__device__ __forceinline__ void products_wait() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
#endif
}
// Behind the wait for them: until here c may be neither read nor written.
template <int Tiles>
__device__ __forceinline__ void products_end(float (&c)[Tiles][4]) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#pragma unroll
  for (int i = 0; i < Tiles; ++i) asm volatile("" : POSEMAMBA_FOUR(i)::"memory");
#endif
}

// c (a warp's 16 rows, 8 columns a tile) += a (16 inputs) * the core matrices that `from`
// describes.
template <int Tiles>
__device__ __forceinline__ void warpgroup_product(float (&c)[Tiles][4], const uint32_t (&a)[4],
                                                  uint64_t from) {
  static_assert(Tiles == 2 || (Tiles >= 4 && Tiles <= 6) || Tiles == 8 || Tiles == 16 ||
                    Tiles == 24 || Tiles == 32,
                "has no instruction");
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (Tiles == 2) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
        : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 4) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
        "{%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
        : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1), POSEMAMBA_FOUR(2), POSEMAMBA_FOUR(3)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 5) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n40k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19}, {%20, %21, %22, %23}, %24, 1, 1, 1, 0;"
        : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1), POSEMAMBA_FOUR(2), POSEMAMBA_FOUR(3),
          POSEMAMBA_FOUR(4)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 6) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n48k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23}, {%24, %25, %26, %27}, %28, 1, 1, 1, 0;"
        : POSEMAMBA_FOUR(0), POSEMAMBA_FOUR(1), POSEMAMBA_FOUR(2), POSEMAMBA_FOUR(3),
          POSEMAMBA_FOUR(4), POSEMAMBA_FOUR(5)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 8) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
        : POSEMAMBA_EIGHT(0)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 24) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n192k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95}, "
        "{%96, %97, %98, %99}, %100, 1, 1, 1, 0;"
        : POSEMAMBA_EIGHT(0), POSEMAMBA_EIGHT(8), POSEMAMBA_EIGHT(16)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else if constexpr (Tiles == 32) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "
        "%111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "
        "%127}, "
        "{%128, %129, %130, %131}, %132, 1, 1, 1, 0;"
        : POSEMAMBA_EIGHT(0), POSEMAMBA_EIGHT(8), POSEMAMBA_EIGHT(16), POSEMAMBA_EIGHT(24)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  } else {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "{%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
        : POSEMAMBA_EIGHT(0), POSEMAMBA_EIGHT(8)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(from));
  }
#endif
}

// The same with 64 rows in shared memory, `rows` as `from` describes core matrices.
__device__ __forceinline__ void warpgroup_product([[maybe_unused]] float (&c)[8][4],
                                                  [[maybe_unused]] uint64_t rows,
                                                  [[maybe_unused]] uint64_t from) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, 1, 1, 1, 0, 0;"
      : POSEMAMBA_EIGHT(0)
      : "l"(rows), "l"(from));
#endif
}
#undef POSEMAMBA_EIGHT
#undef POSEMAMBA_FOUR

// The low word of a descriptor, in units of 16 bytes: where core matrices lie, and how far it is
// from one to the next along the inputs; `kCoreRow`: along the outputs, or rows. Taken from one
// lane: the compiler sees that all have it, and does the sums of a loop over k beside the other
// instructions.
__device__ __forceinline__ uint32_t descriptor_of(const void* cores, int outputs) {
  return __shfl_sync(
      ~0u, (shared_address(cores) & 0x3ffff) >> 4 | static_cast<uint32_t>(outputs) << 16, 0);
}
constexpr uint64_t kCoreRow = uint64_t{8} << 32;

// Starts c += a * the core matrices of `outputs` outputs from `weights` on, all four warps of a
// warpgroup together. Neither operand may be touched before products_wait and products_end.
template <int Tiles, int Steps>
__device__ __forceinline__ void start_products(float (&c)[Tiles][4], uint32_t (&a)[Steps][4],
                                               const unsigned char* weights, int outputs) {
  products_begin(c, a);
  const uint32_t low = descriptor_of(weights, outputs);
#pragma unroll
  for (int k = 0; k < Steps; ++k) {
    warpgroup_product(c, a[k], low + static_cast<uint32_t>(k * outputs * 2) | kCoreRow);
  }
  products_under_way();
}

// Starts c += 64 rows of 16 Steps inputs (core matrices, rows fastest) * those of 64 outputs.
template <int Steps>
__device__ __forceinline__ void start_products(float (&c)[8][4], const __half* rows,
                                               const unsigned char* weights) {
  uint32_t none[1][4] = {};
  products_begin(c, none);
  const uint32_t left = descriptor_of(rows, 64);
  const uint32_t right = descriptor_of(weights, 64);
#pragma unroll
  for (int k = 0; k < Steps; ++k) {
    warpgroup_product(c, left + static_cast<uint32_t>(k * 128) | kCoreRow,
                      right + static_cast<uint32_t>(k * 128) | kCoreRow);
  }
  products_under_way();
}

// Whether this build has code for them: some files are compiled for sm_90a too.
#ifdef POSEMAMBA_WARPGROUPS
constexpr bool kHasWarpgroups = true;
#else
constexpr bool kHasWarpgroups = false;
#endif

// Moves registers from warpgroups that need few to those that need many. All warps of a warpgroup.
template <int Registers>
__device__ __forceinline__ void take_registers() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
}
template <int Registers>
__device__ __forceinline__ void leave_registers() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
}

}  // namespace posemamba::cuda
