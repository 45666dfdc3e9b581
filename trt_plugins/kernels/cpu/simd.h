// One vector of float lanes per instruction set, on GCC/Clang vector extensions. The file is
// compiled once for each set of flags; everything in it is internal to its translation unit, so
// that nothing built for AVX-512 can be linked into baseline code.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define PM_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define PM_UNROLL _Pragma("unroll")
#else
#define PM_UNROLL _Pragma("GCC unroll 64")
#endif

namespace posemamba {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float vf __attribute__((vector_size(kLanes * 4)));
typedef int32_t vi __attribute__((vector_size(kLanes * 4)));

struct Half {
  uint16_t bits;
};

PM_INLINE vf splat(float value) { return value - vf{}; }
PM_INLINE vi splat(int32_t value) { return value - vi{}; }

PM_INLINE vf load(const float* from) {
  vf v;
  memcpy(&v, from, sizeof v);
  return v;
}
PM_INLINE void store(float* to, vf v) { memcpy(to, &v, sizeof v); }

// a * b + c in one rounding where the machine has it.
PM_INLINE vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

// The larger of a bound and v; a NaN in v stays.
PM_INLINE vf at_least(vf bound, vf v) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)bound, (__m512)v);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)bound, (__m256)v);
#elif defined(__SSE2__)
  return (vf)_mm_max_ps((__m128)bound, (__m128)v);
#elif defined(__aarch64__)
  return (vf)vmaxq_f32((float32x4_t)bound, (float32x4_t)v);
#else
  return v < bound ? bound : v;
#endif
}

// The smaller of a bound and v; a NaN in v stays.
PM_INLINE vf at_most(vf bound, vf v) {
#if defined(__AVX512F__)
  return (vf)_mm512_min_ps((__m512)bound, (__m512)v);
#elif defined(__AVX2__)
  return (vf)_mm256_min_ps((__m256)bound, (__m256)v);
#elif defined(__SSE2__)
  return (vf)_mm_min_ps((__m128)bound, (__m128)v);
#elif defined(__aarch64__)
  return (vf)vminq_f32((float32x4_t)bound, (float32x4_t)v);
#else
  return v > bound ? bound : v;
#endif
}

PM_INLINE vf absolute(vf v) { return (vf)((vi)v & splat(int32_t{0x7fffffff})); }

PM_INLINE vf select(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }

// Lanes of a and b in turn: the lower halves, and the upper halves.
#if defined(__clang__)
#define PM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, vi{__VA_ARGS__})
#endif
PM_INLINE vf zip_low(vf a, vf b) {
#if defined(__AVX512F__)
  return PM_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return PM_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return PM_SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}
PM_INLINE vf zip_high(vf a, vf b) {
#if defined(__AVX512F__)
  return PM_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
  return PM_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return PM_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}
#undef PM_SHUFFLE

// Denormals cost a hundred cycles each on some machines, and a decaying state is full of them:
// inside a task they are zero. The caller's mode is put back.
class FlushDenormals {
 public:
  FlushDenormals() {
#if defined(__SSE2__)
    saved_ = _mm_getcsr();
    _mm_setcsr(saved_ | 0x8040u);  // FTZ, DAZ
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" ::"r"(saved_ | (uint64_t{1} << 24)));  // FZ
#endif
  }
  ~FlushDenormals() {
#if defined(__SSE2__)
    _mm_setcsr(saved_);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" ::"r"(saved_));
#endif
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE2__)
  unsigned saved_;
#elif defined(__aarch64__)
  uint64_t saved_;
#endif
};

}  // namespace
}  // namespace posemamba
