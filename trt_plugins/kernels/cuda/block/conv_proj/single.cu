// A thread block for every 32 positions of a batch item: for small grids, and for GPUs and
// sizes that no design for batches fits.
#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/taps.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kRows = 32;  // positions of a thread block

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
  // A neighbouring frame that does not exist lies outside of the item, and reads as zero.
  constexpr bool outside[kRun] = {};
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
      read_floats(a.bias + channel, sum[i]);
    }
#pragma unroll kTapRows
    for (int tap_row = 0; tap_row < 3; ++tap_row) {
      add_taps<kRun>(x, a.x_stride, position + (tap_row - 1) * a.joints, steps,
                     a.weight + tap_row * 3 * a.channels + channel, a.channels, edge, outside, sum);
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const uint4 bits = silu_bits(sum[i]);
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

}  // namespace

cudaError_t launch_conv_proj_single(const pm_conv_proj_params& params, const Device& device,
                                    cudaStream_t stream) {
  if (params.channels == 128) return run<128>(params, device, stream);
  if (params.channels == 256) return run<256>(params, device, stream);
  if (params.channels == 512) return run<512>(params, device, stream);
  return cudaErrorNotSupported;
}

}  // namespace posemamba::cuda
