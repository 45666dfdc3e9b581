// Depthwise 3x3 convolution, bias and SiLU, and the x_proj product of what comes out: one launch
// makes both inputs of the scan. fp16, channels last.
#include "cuda/launch.h"
#include "cuda/mma.cuh"
#include "cuda/quad.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr int kGroupThreads = 256;  // a group of 8 warps works on 32 positions
constexpr int kGroupRows = 32;

__device__ __forceinline__ void to_floats(const uint4& bits, float (&to)[8]) {
  const float4 low = quad_of(make_uint2(bits.x, bits.y));
  const float4 high = quad_of(make_uint2(bits.z, bits.w));
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

// sum += the three taps of one kernel row, for kRun consecutive positions and 8 channels. In memory
// a neighbouring joint is one position away and a neighbouring frame `joints` positions, so a run
// shares its reads; a position outside the item is also outside the grid.
template <int kRun>
__device__ __forceinline__ void add_taps(const pm_conv_proj_params& a, const __half* x, int from,
                                         int steps, const float* weight, const int (&joint)[kRun],
                                         float (&sum)[kRun][8]) {
  uint4 bits[kRun + 2];
#pragma unroll
  for (int i = 0; i < kRun + 2; ++i) {
    const int at = from + i - 1;
    bits[i] = make_uint4(0, 0, 0, 0);
    if (at >= 0 && at < steps) {
      bits[i] = __ldg(reinterpret_cast<const uint4*>(x + int64_t{at} * a.x_stride));
    }
  }
  float taps[3][8];
#pragma unroll
  for (int t = 0; t < 3; ++t) {
    const float4 low = read_quad(weight + t * a.channels);
    const float4 high = read_quad(weight + t * a.channels + 4);
    taps[t][0] = low.x, taps[t][1] = low.y, taps[t][2] = low.z, taps[t][3] = low.w;
    taps[t][4] = high.x, taps[t][5] = high.y, taps[t][6] = high.z, taps[t][7] = high.w;
  }
#pragma unroll
  for (int i = 0; i < kRun + 2; ++i) {
    float value[8];
    to_floats(bits[i], value);
#pragma unroll
    for (int t = 0; t < 3; ++t) {
      const int target = i - t;  // tap t of this position's run reads the joint t - 1 further
      if (target < 0 || target >= kRun) continue;
      const int reached = joint[target] + t - 1;
      if (reached < 0 || reached >= a.joints) continue;
#pragma unroll
      for (int c = 0; c < 8; ++c) sum[target][c] = fmaf(taps[t][c], value[c], sum[target][c]);
    }
  }
}

// A block owns 32 * Groups positions of one batch item. Per 32 positions 8 warps convolve them into
// shared memory and, behind one barrier, multiply: every warp all 32 rows by 16 columns at a time.
// One or two blocks an SM (128 registers); rows of shared memory are padded for ldmatrix.
template <int Channels, int Groups>
__global__ void __launch_bounds__(kGroupThreads* Groups, 2 / Groups)
    conv_proj_kernel(const __grid_constant__ pm_conv_proj_params a) {
  constexpr int kLanes = Channels / 8;                             // threads across the channels
  constexpr int kPositions = kGroupRows * kLanes / kGroupThreads;  // per thread
  constexpr int kRun = kPositions < 4 ? kPositions : 4;            // at once, for the registers
  constexpr int kStride = Channels + kRowPad;
  using Product = WarpProduct<Channels, 2, 1, 2>;  // the convolution needs the registers
  extern __shared__ __align__(16) unsigned char memory[];
  __half* rows = reinterpret_cast<__half*>(memory);

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int group_row = thread / kGroupThreads * kGroupRows;
  const int warp = thread % kGroupThreads / 32;
  const int tiles = a.columns / 16;
  Product product;
  if (warp < tiles) product.prime(a.projection, warp, lane);

  const int steps = static_cast<int>(a.frames) * a.joints;
  const int first = static_cast<int>(blockIdx.x) * kGroupRows * Groups;
  const int channel = thread % kLanes * 8;
  const int64_t item = int64_t{blockIdx.y} * steps;
  const __half* x = static_cast<const __half*>(a.x) + item * a.x_stride + channel;
  __half* u = static_cast<__half*>(a.u) + item * Channels + channel;
  dependency_wait();  // x comes from the previous launch; the weights do not
  dependency_release();
#pragma unroll 1
  for (int part = 0; part < kPositions; part += kRun) {
    const int row = thread / kLanes * kPositions + part;
    const int position = first + row;
    int joint[kRun];
    float sum[kRun][8];
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      joint[i] = (position + i) % a.joints;
      const float4 low = read_quad(a.bias + channel);
      const float4 high = read_quad(a.bias + channel + 4);
      sum[i][0] = low.x, sum[i][1] = low.y, sum[i][2] = low.z, sum[i][3] = low.w;
      sum[i][4] = high.x, sum[i][5] = high.y, sum[i][6] = high.z, sum[i][7] = high.w;
    }
#pragma unroll
    for (int tap_row = 0; tap_row < 3; ++tap_row) {
      add_taps<kRun>(a, x, position + (tap_row - 1) * a.joints, steps,
                     a.weight + tap_row * 3 * a.channels + channel, joint, sum);
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const uint2 low =
          bits_of(make_float4(silu(sum[i][0]), silu(sum[i][1]), silu(sum[i][2]), silu(sum[i][3])));
      const uint2 high =
          bits_of(make_float4(silu(sum[i][4]), silu(sum[i][5]), silu(sum[i][6]), silu(sum[i][7])));
      const uint4 bits = make_uint4(low.x, low.y, high.x, high.y);
      *reinterpret_cast<uint4*>(rows + (row + i) * kStride + channel) = bits;
      if (position + i < steps) {
        *reinterpret_cast<uint4*>(u + int64_t{position + i} * Channels) = bits;
      }
    }
  }
  __syncthreads();  // the rows are complete

  __half* x_dbl = static_cast<__half*>(a.x_dbl) + item * a.columns;
  for (int tile = warp; tile < tiles; tile += 8) {
    if (tile != warp) product.prime(a.projection, tile, lane);
    product.run(rows, kStride, group_row, lane);
    product.each(group_row, lane, [&](int row, int column, float2 v) {
      const int64_t position = first + row;
      if (position < steps) put_half2(x_dbl + position * a.columns + tile * 16 + column, v);
    });
  }
}

template <int Channels, int Groups>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  constexpr int kRows = kGroupRows * Groups;
  const int64_t steps = params.frames * params.joints;
  const dim3 grid(static_cast<unsigned>((steps + kRows - 1) / kRows),
                  static_cast<unsigned>(params.batch));
  pm_conv_proj_params copy = params;
  void* args[] = {&copy};
  return launch(reinterpret_cast<const void*>(&conv_proj_kernel<Channels, Groups>), grid,
                dim3(kGroupThreads * Groups), args, true, device, stream,
                kRows * (Channels + kRowPad) * sizeof(__half));
}

template <int Channels>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  return two_groups(params.batch, params.frames * params.joints, device)
             ? run<Channels, 2>(params, device, stream)
             : run<Channels, 1>(params, device, stream);
}

bool valid(const pm_conv_proj_params& p) {
  return p.x != nullptr && p.weight != nullptr && p.bias != nullptr && p.projection != nullptr &&
         p.u != nullptr && p.x_dbl != nullptr && p.batch >= 1 && p.batch <= 65535 &&
         p.frames >= 1 && p.joints >= 1 && p.columns >= 16 && p.columns % 16 == 0 &&
         p.x_stride >= p.channels && p.x_stride % 8 == 0 && p.frames <= INT32_MAX / p.joints / 2 &&
         reinterpret_cast<uintptr_t>(p.x) % 16 == 0;
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_conv_proj(const pm_conv_proj_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || !valid(*params)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  if (params->channels == 128) return run<128>(*params, device, stream);
  if (params->channels == 256) return run<256>(*params, device, stream);
  if (params->channels == 512) return run<512>(*params, device, stream);
  return cudaErrorNotSupported;
}
