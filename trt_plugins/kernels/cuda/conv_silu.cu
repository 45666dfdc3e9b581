// Depthwise 3x3 convolution over (frames, joints), bias and SiLU, channels last.
#include "cuda/device.cuh"
#include "cuda/launch.h"
#include "cuda/quad.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kFrames = 4;  // outputs a thread makes down one joint: 18 row reads instead of 36

// A thread owns four channels of one joint over kFrames frames. Bound by memory: every input row is
// read from DRAM once and up to 4.5 times from L1 and L2. 36 weights in registers, 3 blocks an SM.
template <typename T>
__global__ void __launch_bounds__(kThreads, 3)
    conv_silu_kernel(const __grid_constant__ pm_conv_silu_params a, int quads, int strips) {
  const int64_t id = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int channel = static_cast<int>(id % quads) * 4;
  const int64_t place = id / quads;
  const int joint = static_cast<int>(place % a.joints);
  const int64_t strip = place / a.joints;
  const int64_t batch = strip / strips;
  if (batch >= a.batch) return;
  const int64_t first = (strip - batch * strips) * kFrames;

  float4 weight[9];
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) weight[tap] = read_quad(a.weight + tap * a.channels + channel);
  const float4 bias = read_quad(a.bias + channel);
  float4 sum[kFrames];
#pragma unroll
  for (int f = 0; f < kFrames; ++f) sum[f] = bias;

  dependency_wait();  // x comes from the previous launch; the weights do not
  const T* x = static_cast<const T*>(a.x) + batch * a.frames * a.joints * a.x_stride + channel;
#pragma unroll
  for (int row = -1; row <= kFrames; ++row) {
    const int64_t frame = first + row;
    if (frame < 0 || frame >= a.frames) continue;
#pragma unroll
    for (int column = -1; column <= 1; ++column) {
      const int at = joint + column;
      if (at < 0 || at >= a.joints) continue;
      const float4 value = read_quad(x + (frame * a.joints + at) * a.x_stride);
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
    const int64_t position = (batch * a.frames + first + f) * a.joints + joint;
    write_quad(y + position * a.channels, v);
  }
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_conv_silu(const pm_conv_silu_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->x == nullptr || params->weight == nullptr ||
      params->bias == nullptr || params->y == nullptr || params->batch < 1 || params->frames < 1 ||
      params->joints < 1 || params->channels < 4 || params->channels % 4 != 0 ||
      params->x_stride < params->channels || params->x_stride % 4 != 0 ||
      (params->dtype != PM_FLOAT32 && params->dtype != PM_FLOAT16)) {
    return cudaErrorInvalidValue;
  }
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  int quads = params->channels / 4;
  int strips = static_cast<int>((params->frames + kFrames - 1) / kFrames);
  const int64_t threads = params->batch * strips * params->joints * quads;
  const int64_t blocks = (threads + kThreads - 1) / kThreads;
  if (blocks > INT32_MAX) return cudaErrorInvalidValue;
  pm_conv_silu_params copy = *params;
  void* args[] = {&copy, &quads, &strips};
  const void* kernel = params->dtype == PM_FLOAT16
                           ? reinterpret_cast<const void*>(&conv_silu_kernel<__half>)
                           : reinterpret_cast<const void*>(&conv_silu_kernel<float>);
  return launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), args, true, device,
                stream);
}
