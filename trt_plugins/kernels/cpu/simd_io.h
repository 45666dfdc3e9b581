// Loads and stores of activations: float32 or float16 in memory, whole vectors or the first
// `count` lanes, and transposes between [channel, step] and [step, channel].
#pragma once

#include "cpu/simd.h"

namespace posemamba {
namespace {

#if defined(__AVX512F__) || defined(__F16C__) || defined(__aarch64__)
PM_INLINE vf load(const Half* from) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  uint16x4_t bits;
  memcpy(&bits, from, sizeof bits);
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(bits));
#endif
}

PM_INLINE void store(Half* to, vf v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  const uint16x4_t bits = vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v));
  memcpy(to, &bits, sizeof bits);
#endif
}
#else
// Bit arithmetic, because it has to work with denormals flushed and without half instructions.
PM_INLINE vf load(const Half* from) {
  vi half;
  PM_UNROLL
  for (int i = 0; i < kLanes; ++i) half[i] = from[i].bits;
  const vi magnitude = (half & 0x7fff) << 13;
  const vi sign = (half & 0x8000) << 16;
  const vi exponent = magnitude & (0x1f << 23);
  const vi normal = magnitude + ((127 - 15) << 23);
  const vi special = magnitude + ((255 - 31) << 23);  // infinity and NaN
  // A subnormal half as 2^-14 + mantissa, less 2^-14: both are normal float32 numbers.
  const vi base = splat(int32_t{113 << 23});
  const vi subnormal = (vi)((vf)(magnitude + base) - (vf)base);
  const vi is_subnormal = exponent == 0;
  const vi is_special = exponent == (0x1f << 23);
  const vi value =
      (subnormal & is_subnormal) | (special & is_special) | (normal & ~is_subnormal & ~is_special);
  return (vf)(value | sign);
}

PM_INLINE void store(Half* to, vf v) {
  const vi magnitude = (vi)v & 0x7fffffff;
  const vi sign = ((vi)v >> 16) & 0x8000;
  // Adding 0.5 leaves a subnormal half's mantissa, rounded to even, in the low bits.
  const vi half_bits = splat(int32_t{126 << 23});
  const vi subnormal = (vi)((vf)magnitude + (vf)half_bits) - half_bits;
  const vi odd = (magnitude >> 13) & 1;
  const vi normal = (magnitude - (112 << 23) + 0xfff + odd) >> 13;  // carries into the exponent
  const vi is_subnormal = magnitude < (113 << 23);
  const vi is_large = magnitude >= 0x477ff000;  // rounds to 65536 or more
  const vi is_nan = magnitude > 0x7f800000;
  const vi large = 0x7c00 | (is_nan & 0x200);
  const vi value = (large & is_large) | (subnormal & is_subnormal & ~is_large) |
                   (normal & ~is_subnormal & ~is_large);
  const vi bits = value | sign;
  PM_UNROLL
  for (int i = 0; i < kLanes; ++i) to[i].bits = static_cast<uint16_t>(bits[i]);
}
#endif

// The first `count` lanes; the others read as zero and are never touched in memory.
template <class T>
PM_INLINE vf load(const T* from, int count) {
  if (count >= kLanes) return load(from);
  T lanes[kLanes] = {};
  for (int i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
}

#if defined(__AVX512F__)
PM_INLINE vf load(const float* from, int count) {
  if (count >= kLanes) return load(from);
  return (vf)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
}
PM_INLINE vf load(const Half* from, int count) {
  if (count >= kLanes) return load(from);
  const auto mask = static_cast<__mmask16>((1u << count) - 1u);
  return (vf)_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
}
#endif

template <class T>
PM_INLINE void store(T* to, vf v, int count) {
  if (count >= kLanes) return store(to, v);
  T lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < count; ++i) to[i] = lanes[i];
}

PM_INLINE int min_int(int a, int b) { return a < b ? a : b; }

// Rows become columns; log2(kLanes) perfect shuffles.
PM_INLINE void transpose(vf (&m)[kLanes]) {
  PM_UNROLL
  for (int stage = kLanes; stage > 1; stage /= 2) {
    vf t[kLanes];
    PM_UNROLL
    for (int i = 0; i < kLanes / 2; ++i) {
      t[2 * i] = zip_low(m[i], m[i + kLanes / 2]);
      t[2 * i + 1] = zip_high(m[i], m[i + kLanes / 2]);
    }
    PM_UNROLL
    for (int i = 0; i < kLanes; ++i) m[i] = t[i];
  }
}

// The sum over the lanes of each of kLanes vectors; they are used up.
PM_INLINE vf sum_lanes(vf (&m)[kLanes]) {
  PM_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2) {
    PM_UNROLL
    for (int i = 0; i < half; ++i) {
      m[i] = zip_low(m[i], m[i + half]) + zip_high(m[i], m[i + half]);
    }
  }
  return m[0];
}

// to[c * to_stride + r] = from[r * from_stride + c] for c < columns; lanes r >= rows become zero.
template <class T>
static void load_transposed(const T* from, int64_t from_stride, int rows, int columns, float* to,
                            int64_t to_stride) {
  for (int c = 0; c < columns; c += kLanes) {
    const int width = min_int(kLanes, columns - c);
    vf m[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      m[r] = r < rows ? load(from + r * from_stride + c, width) : vf{};
    }
    transpose(m);
    for (int i = 0; i < width; ++i) store(to + (c + i) * to_stride, m[i]);
  }
}

// to[c * to_stride + r] = from[r * kLanes + c] for r < rows, c < columns <= kLanes.
template <class T>
static void store_transposed(const float* from, int rows, int columns, T* to, int64_t to_stride) {
  for (int r = 0; r < rows; r += kLanes) {
    const int height = min_int(kLanes, rows - r);
    vf m[kLanes];
    for (int i = 0; i < kLanes; ++i) m[i] = i < height ? load(from + (r + i) * kLanes) : vf{};
    transpose(m);
    for (int c = 0; c < columns; ++c) store(to + c * to_stride + r, m[c], height);
  }
}

}  // namespace
}  // namespace posemamba
