// CUDA C++ as a C++ compiler reads it: what our kernels use of it, no more.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda_runtime_api.h"
#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __shared__ static  // one block runs at a time

using std::max;
using std::min;

struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}

inline int __ffs(int v) { return __builtin_ffs(v); }

inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }

inline unsigned __float_as_uint(float v) {
  unsigned bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
inline float __int_as_float(int bits) { return __uint_as_float(static_cast<unsigned>(bits)); }
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i) {
    r |= static_cast<unsigned>(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  }
  return r;
}

// Threads take turns, so nothing comes between.
inline int atomicMin(int* at, int v) {
  const int old = *at;
  *at = min(old, v);
  return old;
}
inline int atomicMax(int* at, int v) {
  const int old = *at;
  *at = max(old, v);
  return old;
}

// The line tells whether the lanes of a warp meet at one place.
inline void __syncthreads(int line = __builtin_LINE()) { cuda_on_cpu::sync_block(line); }
inline void __syncwarp(int line = __builtin_LINE()) { cuda_on_cpu::exchange(0, line); }
template <class T>
T __shfl_sync(unsigned, T v, int source, int line = __builtin_LINE()) {
  static_assert(sizeof(T) == sizeof(uint32_t), "of 32 bits");
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  std::memcpy(&v, cuda_on_cpu::exchange(bits, line) + source, sizeof bits);
  return v;
}
template <class T>
T __shfl_xor_sync(unsigned all, T v, int offset, int line = __builtin_LINE()) {
  return __shfl_sync(all, v, cuda_on_cpu::lane() ^ offset, line);
}
template <class T>
T __shfl_up_sync(unsigned all, T v, int delta, int line = __builtin_LINE()) {
  const int lane = cuda_on_cpu::lane();
  return __shfl_sync(all, v, lane < delta ? lane : lane - delta, line);
}
// The lanes that give the same.
inline unsigned __match_any_sync(unsigned, int v, int line = __builtin_LINE()) {
  const auto own = static_cast<uint32_t>(v);
  const uint32_t* given = cuda_on_cpu::exchange(own, line);
  unsigned lanes = 0;
  for (int i = 0; i < 32; ++i) lanes |= static_cast<unsigned>(given[i] == own) << i;
  return lanes;
}
inline unsigned __ballot_sync(unsigned, bool v, int line = __builtin_LINE()) {
  const uint32_t* given = cuda_on_cpu::exchange(v, line);
  unsigned lanes = 0;
  for (int i = 0; i < 32; ++i) lanes |= given[i] << i;
  return lanes;
}
