// Runs of neighbouring positions, convolved by a thread at once; positions of all batch items are
// one list.
#pragma once

#include "cuda/block/conv_proj/taps.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

// Convolves eight channels from `channel` on of positions [position, position + Run), which lie in
// a list of `positions`, and hands them to put(index in the run, bits of eight halves).
template <int Channels, int Run, class Put>
__device__ __forceinline__ void convolve_run(const pm_conv_proj_params& a, const float* taps,
                                             const float* bias, int positions, int position,
                                             int channel, Put&& put) {
  const int frames = static_cast<int>(a.frames);
  const __half* x = static_cast<const __half*>(a.x) + channel;
  int joint = position % a.joints;
  int frame = position / a.joints % frames;
  Edge edge[Run];
  bool none[3][Run] = {};
  float sum[Run][8];
#pragma unroll
  for (int i = 0; i < Run; ++i) {
    edge[i] = {joint == 0, joint == a.joints - 1};
    none[0][i] = frame == 0, none[2][i] = frame == frames - 1;
    if (++joint == a.joints) {
      joint = 0;
      if (++frame == frames) frame = 0;
    }
    read_floats(bias + channel, sum[i]);
  }
#pragma unroll
  for (int tap_row = 0; tap_row < 3; ++tap_row) {
    add_taps<Run>(x, a.x_stride, position + (tap_row - 1) * a.joints, positions,
                  taps + tap_row * 3 * Channels + channel, Channels, edge, none[tap_row], sum);
  }
#pragma unroll
  for (int i = 0; i < Run; ++i) put(i, silu_bits(sum[i]));
}

}  // namespace posemamba::cuda
