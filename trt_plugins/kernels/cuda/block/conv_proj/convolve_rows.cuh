// The convolution alone, for channels whose x_proj leaves no room beside it: u of all positions,
// taken from the batch as one list.
#pragma once

#include "cuda/block/conv_proj/taps.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kConvolveThreads = 256;
constexpr int kConvolveRun = 4;  // positions of a thread at once

constexpr int kStrip = 128;  // neighbouring positions of a block: frames read again are in the L1

// Blocks take strips in turns, from the first to the last.
template <int Channels>
__global__ void __launch_bounds__(kConvolveThreads, 2)
    convolve_rows_kernel(const __grid_constant__ pm_conv_proj_params a, int positions) {
  constexpr int kLanes = Channels / 8;  // threads across the channels
  const int channel = static_cast<int>(threadIdx.x) % kLanes * 8;
  const __half* x = static_cast<const __half*>(a.x) + channel;
  constexpr int kAtOnce = kConvolveThreads / kLanes * kConvolveRun;
  static_assert(kStrip % kAtOnce == 0, "whole passes");
  dependency_wait();  // x comes from the previous launch
  dependency_release();
  static_assert(kLanes % 32 == 0, "a run in whole warps");
  // From one lane: the compiler sees that all lanes of a warp have it.
  const int own = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / kLanes * kConvolveRun, 0);
#pragma unroll 1
  for (int strip = static_cast<int>(blockIdx.x) * kStrip; strip < positions;
       strip += static_cast<int>(gridDim.x) * kStrip) {
#pragma unroll 1
    for (int part = own; part < kStrip; part += kAtOnce) {
      const int position = strip + part;
      if (position >= positions) break;
      int joint = position % a.joints;
      int frame = position / a.joints % static_cast<int>(a.frames);
      Edge edge[kConvolveRun];
      bool none[3][kConvolveRun] = {};
      float sum[kConvolveRun][8];
#pragma unroll
      for (int i = 0; i < kConvolveRun; ++i) {
        edge[i] = {joint == 0, joint == a.joints - 1};
        none[0][i] = frame == 0, none[2][i] = frame == static_cast<int>(a.frames) - 1;
        if (++joint == a.joints) {
          joint = 0;
          if (++frame == static_cast<int>(a.frames)) frame = 0;
        }
        read_floats(a.bias + channel, sum[i]);
      }
#pragma unroll
      for (int tap_row = 0; tap_row < 3; ++tap_row) {
        add_taps<kConvolveRun>(x, a.x_stride, position + (tap_row - 1) * a.joints, positions,
                               a.weight + tap_row * 3 * Channels + channel, Channels, edge,
                               none[tap_row], sum);
      }
      __half* u = static_cast<__half*>(a.u) + int64_t{position} * Channels + channel;
#pragma unroll
      for (int i = 0; i < kConvolveRun; ++i) {
        if (position + i >= positions) break;
        *reinterpret_cast<uint4*>(u + i * Channels) = silu_bits(sum[i]);
      }
    }
  }
}

}  // namespace posemamba::cuda
