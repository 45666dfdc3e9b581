// exp2, softplus and SiLU to float32 accuracy. Coefficients: minimax fits made for this file.
#pragma once

#include "cpu/simd.h"

namespace posemamba {
namespace {

constexpr float kLog2e = 1.44269504088896341f;

// 2^t = 2^m * table[i] * 2^f with t = m + i / 2^kSegmentBits + f: a larger table in registers
// needs a polynomial of lower degree. Chosen by measurement on Zen 4, in the scan loop, 16 lanes,
// cycles an exponential: 7.9 for 32 entries with vscalefps (below), 8.4 with the exponent added as
// an integer and a clamp, 9.0 for 16 entries, 9.6 for none.
#if defined(__AVX512F__)
constexpr int kSegmentBits = 5;
#elif defined(__AVX2__)
constexpr int kSegmentBits = 3;
#else
constexpr int kSegmentBits = 0;
#endif

// Adding it rounds to a multiple of 2^-kSegmentBits and leaves the index in the low bits.
constexpr float kRound = static_cast<float>(3 << (22 - kSegmentBits));

#if defined(__AVX512F__)
// Bits of 2^(i / 32).
constexpr int32_t kExp2Table[32] = {
    0x3f800000, 0x3f82cd87, 0x3f85aac3, 0x3f88980f, 0x3f8b95c2, 0x3f8ea43a, 0x3f91c3d3, 0x3f94f4f0,
    0x3f9837f0, 0x3f9b8d3a, 0x3f9ef532, 0x3fa27043, 0x3fa5fed7, 0x3fa9a15b, 0x3fad583f, 0x3fb123f6,
    0x3fb504f3, 0x3fb8fbaf, 0x3fbd08a4, 0x3fc12c4d, 0x3fc5672a, 0x3fc9b9be, 0x3fce248c, 0x3fd2a81e,
    0x3fd744fd, 0x3fdbfbb8, 0x3fe0ccdf, 0x3fe5b907, 0x3feac0c7, 0x3fefe4ba, 0x3ff5257d, 0x3ffa83b3};
#elif defined(__AVX2__)
// Bits of 2^(i / 8) less i << 20: adding the whole index << 20 then adds m to the exponent.
constexpr int32_t kExp2Table[8] = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                   0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
#endif

// An argument cut in two: f = t - (rounded - kRound).
struct Exp2Parts {
  vf rounded;
  vf f;
};

PM_INLINE Exp2Parts exp2_parts(vf t) {
  const vf rounded = t + splat(kRound);
  return {rounded, t - (rounded - splat(kRound))};
}

// 2^t, relative error below 3e-7 (measured by tests/native/kernels/test_math.py).
PM_INLINE vf exp2_from_parts(Exp2Parts t) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_loadu_si512(kExp2Table);
  const __m512i high = _mm512_loadu_si512(kExp2Table + 16);
  const vf entry = (vf)_mm512_permutex2var_epi32(low, (__m512i)t.rounded, high);
  // 2^f - 1 over f to within 1.6e-7 / f. Not the minimax line (5.3e-8 / f): its slope at 0 is off
  // by 1.5e-5, and a slow decay 1 - x repeats that thousands of times. This one is off by 5e-6.
  const vf q = fma(t.f, splat(0.24022653f), splat(0.69315057f));
  const vf mantissa = fma(entry, q * t.f, entry);
  // Multiplies by 2^floor(.): no bias arithmetic, zero and infinity come out right.
  return (vf)_mm512_scalef_ps((__m512)mantissa, (__m512)(t.rounded - splat(kRound)));
#elif defined(__AVX2__)
  const __m256i table = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kExp2Table));
  const vi entry = (vi)_mm256_permutevar8x32_epi32(table, (__m256i)t.rounded);
  const vf scale = (vf)(entry + ((vi)t.rounded << (23 - kSegmentBits)));
  vf q = fma(t.f, splat(0.055496222f), splat(0.24025763f));  // error 2.5e-8
  q = fma(t.f, q, splat(0.69314721f));
  return fma(scale, q * t.f, scale);
#else
  vf q = fma(t.f, splat(0.0013264727f), splat(0.0096715126f));  // error 9.2e-8
  q = fma(t.f, q, splat(0.055507337f));
  q = fma(t.f, q, splat(0.24022242f));
  q = fma(t.f, q, splat(0.69314698f));
  q = fma(t.f, q, splat(1.0f));
  return (vf)((vi)q + ((vi)t.rounded << 23));
#endif
}

// 2^t: zero far below -126 (denormals count as zero); infinity above 128, or without AVX-512 a
// saturated 2^127.45.
PM_INLINE vf exp2(vf t) {
#if !defined(__AVX512F__)
  t = at_most(splat(127.45f), at_least(splat(-126.49f), t));
#endif
  return exp2_from_parts(exp2_parts(t));
}

// e^a for a <= 0 with the argument reduced exactly: t = a * log2(e) alone would cost 1e-6 at -20.
PM_INLINE vf exp_of_negative(vf a) {
  a = at_least(splat(-87.6f), a);
  const vf rounded = fma(a, splat(kLog2e), splat(kRound));
  const vf t = rounded - splat(kRound);
  // ln 2 = 0.693359375 (exact in 9 bits) - 2.1219444e-4
  const vf rest = fma(t, splat(2.12194440e-4f), fma(t, splat(-0.693359375f), a));
  return exp2_from_parts({rounded, rest * splat(kLog2e)});
}

// max(v, 0) + log1p(e^-|v|): keeps its digits for small results, and above 20 equals v in float32.
PM_INLINE vf softplus(vf v) {
  const vf e = exp_of_negative(-absolute(v));
  vf q = fma(e, splat(0.0052326927f), splat(-0.029505232f));  // log1p(e) / e, error 3e-8
  q = fma(e, q, splat(0.078225947f));
  q = fma(e, q, splat(-0.13663245f));
  q = fma(e, q, splat(0.19106006f));
  q = fma(e, q, splat(-0.24842982f));
  q = fma(e, q, splat(0.33319097f));
  q = fma(e, q, splat(-0.49999493f));
  q = fma(e, q, splat(0.99999997f));
  return fma(e, q, at_least(vf{}, v));
}

// v / (1 + e^-v)
PM_INLINE vf silu(vf v) {
  const vf e = exp_of_negative(-absolute(v));
  const vf one = splat(1.0f);
  return v * select(v < vf{}, e, one) / (one + e);
}

// 1 / (1 + e^-v), the slope of softplus.
PM_INLINE vf logistic(vf v) {
  const vf e = exp_of_negative(-absolute(v));
  const vf one = splat(1.0f);
  return select(v < vf{}, e, one) / (one + e);
}

}  // namespace
}  // namespace posemamba
