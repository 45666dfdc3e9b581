// Half precision by the compiler's own type.
#pragma once

#include <cstring>

#include "cuda_runtime.h"

using __half = _Float16;
struct alignas(4) __half2 {
  __half x, y;
};

inline float __half2float(__half h) { return static_cast<float>(h); }
inline __half __float2half_rn(float v) { return static_cast<__half>(v); }
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
inline __half __ushort_as_half(unsigned short bits) {
  __half h;
  std::memcpy(&h, &bits, sizeof h);
  return h;
}
inline __half2 __hmul2(__half2 a, __half2 b) {
  return __floats2half2_rn(__half2float(a.x) * __half2float(b.x),
                           __half2float(a.y) * __half2float(b.y));
}
inline __half2 __hadd2(__half2 a, __half2 b) {
  return __floats2half2_rn(__half2float(a.x) + __half2float(b.x),
                           __half2float(a.y) + __half2float(b.y));
}
