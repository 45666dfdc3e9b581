// Depthwise 3x3 convolution over (frames, joints) for runs of neighbouring positions.
#pragma once

#include "cuda/device/device.cuh"
#include "cuda/device/quad.cuh"

namespace posemamba::cuda {

// What a position of a run has no neighbour at.
struct Edge {
  bool first_joint;
  bool last_joint;
};

__device__ __forceinline__ void to_floats(const uint4& bits, float (&to)[8]) {
  const float4 low = quad_of(make_uint2(bits.x, bits.y));
  const float4 high = quad_of(make_uint2(bits.z, bits.w));
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}
__device__ __forceinline__ void read_floats(const float* from, float (&to)[8]) {
  const float4 low = read_quad(from);
  const float4 high = read_quad(from + 4);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

// sum += the three taps of one kernel row, for Run consecutive positions and 8 channels. In memory
// a neighbouring joint is one position away and a neighbouring frame `joints` positions, so a run
// shares its reads. `from` is where the run lies in that row of the kernel; positions outside
// [0, positions) read as zero. `none`: positions of the run whose neighbouring frame is not theirs.
template <int Run>
__device__ __forceinline__ void add_taps(const __half* x, int64_t x_stride, int from, int positions,
                                         const float* weight, int channels, const Edge (&edge)[Run],
                                         const bool (&none)[Run], float (&sum)[Run][8]) {
  uint4 bits[Run + 2];
  const __half* at = x + (int64_t{from} - 1) * x_stride;
#pragma unroll
  for (int i = 0; i < Run + 2; ++i, at += x_stride) {
    bits[i] = make_uint4(0, 0, 0, 0);
    // Unsigned: a position before the first is beyond the last, too.
    if (static_cast<unsigned>(from + i - 1) < static_cast<unsigned>(positions)) {
      bits[i] = __ldg(reinterpret_cast<const uint4*>(at));
    }
  }
  float taps[3][8];
#pragma unroll
  for (int t = 0; t < 3; ++t) read_floats(weight + t * channels, taps[t]);
#pragma unroll
  for (int i = 0; i < Run + 2; ++i) {
    float value[8];
    to_floats(bits[i], value);
#pragma unroll
    for (int t = 0; t < 3; ++t) {
      const int target = i - t;  // tap t of this position's run reads the joint t - 1 further
      if (target < 0 || target >= Run) continue;
      if ((t == 0 && edge[target].first_joint) || (t == 2 && edge[target].last_joint)) continue;
      if (none[target]) continue;
#pragma unroll
      for (int c = 0; c < 8; ++c) sum[target][c] = fmaf(taps[t][c], value[c], sum[target][c]);
    }
  }
}

// SiLU of eight channels, as halves.
__device__ __forceinline__ uint4 silu_bits(const float (&sum)[8]) {
  const uint2 low = bits_of(make_float4(silu(sum[0]), silu(sum[1]), silu(sum[2]), silu(sum[3])));
  const uint2 high = bits_of(make_float4(silu(sum[4]), silu(sum[5]), silu(sum[6]), silu(sum[7])));
  return make_uint4(low.x, low.y, high.x, high.y);
}

}  // namespace posemamba::cuda
