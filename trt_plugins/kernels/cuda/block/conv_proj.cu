// Depthwise 3x3 convolution, bias and SiLU, and the x_proj product of what comes out: one launch
// makes both inputs of the scan. fp16, channels last.
#include "cuda/device/launch.h"
#include "cuda/device/mma.cuh"
#include "cuda/device/quad.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr int kRows = 32;  // positions of a thread block

struct Edge {
  bool first;  // no joint before it
  bool last;   // none after it
};

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
                                         int steps, const float* weight, const Edge (&edge)[kRun],
                                         float (&sum)[kRun][8]) {
  uint4 bits[kRun + 2];
  const __half* at = x + (int64_t{from} - 1) * a.x_stride;
#pragma unroll
  for (int i = 0; i < kRun + 2; ++i, at += a.x_stride) {
    bits[i] = make_uint4(0, 0, 0, 0);
    // Unsigned: a position before the first is beyond the last, too.
    if (static_cast<unsigned>(from + i - 1) < static_cast<unsigned>(steps)) {
      bits[i] = __ldg(reinterpret_cast<const uint4*>(at));
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
      if ((t == 0 && edge[target].first) || (t == 2 && edge[target].last)) continue;
#pragma unroll
      for (int c = 0; c < 8; ++c) sum[target][c] = fmaf(taps[t][c], value[c], sum[target][c]);
    }
  }
}

// A block owns 32 positions of one batch item: Warps warps convolve them into shared memory and,
// behind one barrier, multiply, every warp all 32 rows by 16 columns at a time. 16 warps run one
// block an SM, 8 warps three (80 registers); rows of shared memory are padded for ldmatrix.
template <int Channels, int Warps>
__global__ void __launch_bounds__(32 * Warps, Warps == 8 ? 3 : 1)
    conv_proj_kernel(const __grid_constant__ pm_conv_proj_params a) {
  constexpr int kThreads = 32 * Warps;
  constexpr int kLanes = Channels / 8;                   // threads across the channels
  constexpr int kPositions = kRows * kLanes / kThreads;  // per thread
  constexpr int kMostRun = Warps == 8 ? 2 : 4;           // at once, for the registers
  constexpr int kRun = kPositions < kMostRun ? kPositions : kMostRun;
  constexpr int kTapRows = Warps == 8 ? 1 : 3;  // whose reads are in flight together
  constexpr int kStride = Channels + kRowPad;
  using Product = WarpProduct<Channels, 2, 1, 4>;
  extern __shared__ __align__(16) unsigned char memory[];
  __half* rows = reinterpret_cast<__half*>(memory);

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int tiles = a.columns / 16;
  Product product;
  // Where blocks share an SM the others hide this latency, and the convolution needs the registers.
  if (Warps == 16 && warp < tiles) product.prime(a.projection, warp, lane);

  const int steps = static_cast<int>(a.frames) * a.joints;
  const int first = static_cast<int>(blockIdx.x) * kRows;
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
    Edge edge[kRun];
    float sum[kRun][8];
    int joint = position % a.joints;
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      edge[i] = {joint == 0, joint == a.joints - 1};
      if (++joint == a.joints) joint = 0;
      const float4 low = read_quad(a.bias + channel);
      const float4 high = read_quad(a.bias + channel + 4);
      sum[i][0] = low.x, sum[i][1] = low.y, sum[i][2] = low.z, sum[i][3] = low.w;
      sum[i][4] = high.x, sum[i][5] = high.y, sum[i][6] = high.z, sum[i][7] = high.w;
    }
#pragma unroll kTapRows
    for (int tap_row = 0; tap_row < 3; ++tap_row) {
      add_taps<kRun>(a, x, position + (tap_row - 1) * a.joints, steps,
                     a.weight + tap_row * 3 * a.channels + channel, edge, sum);
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

  __half* x_dbl = static_cast<__half*>(a.x_dbl) + (item + first) * a.columns;
  const int left = steps - first;
  for (int tile = warp; tile < tiles; tile += Warps) {
    if (Warps == 8 || tile != warp) product.prime(a.projection, tile, lane);
    product.run(rows, kStride, 0, lane);
    product.each(0, lane, [&](int row, int column, float2 v) {
      if (row < left) put_half2(x_dbl + row * a.columns + tile * 16 + column, v);
    });
  }
}

template <int Channels, int Warps>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  const int64_t steps = params.frames * params.joints;
  const dim3 grid(static_cast<unsigned>((steps + kRows - 1) / kRows),
                  static_cast<unsigned>(params.batch));
  pm_conv_proj_params copy = params;
  void* args[] = {&copy};
  return launch(reinterpret_cast<const void*>(&conv_proj_kernel<Channels, Warps>), grid,
                dim3(32 * Warps), args, true, device, stream,
                kRows * (Channels + kRowPad) * sizeof(__half));
}

template <int Channels>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  return few_blocks(params.batch, params.frames * params.joints, device)
             ? run<Channels, 16>(params, device, stream)
             : run<Channels, 8>(params, device, stream);
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
