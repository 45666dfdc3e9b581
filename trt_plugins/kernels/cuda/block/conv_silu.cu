// Depthwise 3x3 convolution over (frames, joints), bias and SiLU, channels last.
#include "cuda/device/device.cuh"
#include "cuda/device/launch.h"
#include "cuda/device/quad.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr int kThreads = 256;

// A thread owns four channels of one joint over kFrames frames: with 4 it reads 18 rows for what
// would be 36, with 2 there are twice the threads to hide latency where one clip cannot fill the
// GPU. Every input row comes from DRAM once, again from L1 and L2. 36 weights in registers, 3
// blocks an SM.
template <typename T, int kFrames>
__global__ void __launch_bounds__(kThreads, 3)
    conv_silu_kernel(const __grid_constant__ pm_conv_silu_params a, int quads, int strips) {
  // 32-bit indices: four divisions in 64 bits would cost more than the convolution.
  const unsigned id = blockIdx.x * kThreads + threadIdx.x;
  const unsigned place = id / static_cast<unsigned>(quads);
  const int channel = static_cast<int>(id - place * static_cast<unsigned>(quads)) * 4;
  const unsigned strip = place / static_cast<unsigned>(a.joints);
  const int joint = static_cast<int>(place - strip * static_cast<unsigned>(a.joints));
  const unsigned batch = strip / static_cast<unsigned>(strips);
  if (batch >= a.batch) return;
  const int first = static_cast<int>(strip - batch * static_cast<unsigned>(strips)) * kFrames;

  float4 weight[9];
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) weight[tap] = read_quad(a.weight + tap * a.channels + channel);
  const float4 bias = read_quad(a.bias + channel);
  float4 sum[kFrames];
#pragma unroll
  for (int f = 0; f < kFrames; ++f) sum[f] = bias;

  dependency_wait();  // x comes from the previous launch; the weights do not
  const int row_stride = static_cast<int>(a.x_stride);  // one batch item is under 2^31 elements
  const T* x =
      static_cast<const T*>(a.x) + int64_t{batch} * a.frames * a.joints * a.x_stride + channel;
#pragma unroll
  for (int row = -1; row <= kFrames; ++row) {
    const int frame = first + row;
    if (frame < 0 || frame >= a.frames) continue;
#pragma unroll
    for (int column = -1; column <= 1; ++column) {
      const int at = joint + column;
      if (at < 0 || at >= a.joints) continue;
      const float4 value = read_quad(x + (frame * a.joints + at) * row_stride);
#pragma unroll
      for (int f = 0; f < kFrames; ++f) {
        const int tap_row = row - f + 1;  // which row of the kernel meets this input
        if (tap_row >= 0 && tap_row < 3) {
          sum[f] = fma4(weight[tap_row * 3 + column + 1], value, sum[f]);
        }
      }
    }
  }
  T* y = static_cast<T*>(a.y) + channel;
#pragma unroll
  for (int f = 0; f < kFrames; ++f) {
    if (first + f >= a.frames) break;
    const float4 v = make_float4(silu(sum[f].x), silu(sum[f].y), silu(sum[f].z), silu(sum[f].w));
    const int64_t position = (int64_t{batch} * a.frames + first + f) * a.joints + joint;
    write_quad(y + position * a.channels, v);
  }
}

template <typename T, int kFrames>
cudaError_t run(const pm_conv_silu_params& params, const Device& device, cudaStream_t stream) {
  int quads = params.channels / 4;
  int strips = static_cast<int>((params.frames + kFrames - 1) / kFrames);
  const int64_t threads = params.batch * strips * params.joints * quads;
  const int64_t blocks = (threads + kThreads - 1) / kThreads;
  if (threads > INT32_MAX) return cudaErrorInvalidValue;  // the kernel counts in 32 bits
  pm_conv_silu_params copy = params;
  void* args[] = {&copy, &quads, &strips};
  const auto kernel = reinterpret_cast<const void*>(&conv_silu_kernel<T, kFrames>);
  return launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), args, true, device,
                stream);
}

template <typename T>
cudaError_t run(const pm_conv_silu_params& params, const Device& device, cudaStream_t stream) {
  const int64_t outputs = params.batch * params.frames * params.joints * (params.channels / 4);
  const bool fills = outputs / 4 >= int64_t{device.multiprocessors} * 3 * kThreads;
  return fills ? run<T, 4>(params, device, stream) : run<T, 2>(params, device, stream);
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_conv_silu(const pm_conv_silu_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->x == nullptr || params->weight == nullptr ||
      params->bias == nullptr || params->y == nullptr || params->batch < 1 || params->frames < 1 ||
      params->joints < 1 || params->channels < 4 || params->channels % 4 != 0 ||
      params->x_stride < params->channels || params->x_stride % 4 != 0 ||
      params->frames > INT32_MAX / params->joints / params->x_stride ||
      (params->dtype != PM_FLOAT32 && params->dtype != PM_FLOAT16)) {
    return cudaErrorInvalidValue;
  }
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  return params->dtype == PM_FLOAT16 ? run<__half>(*params, device, stream)
                                     : run<float>(*params, device, stream);
}
