// Row-wise LayerNorms with what PyTorch leaves beside them: the gate, and the residual sum.
#include "cuda/device/device.cuh"
#include "cuda/device/launch.h"
#include "cuda/device/quad.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr int kRowsPerBlock = 8;  // one warp a row
constexpr int kWarp = 32;
constexpr int kSpan = kWarp * 4;  // channels a warp covers with one quad a lane

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    v += __shfl_xor_sync(0xffffffffu, v, offset);
  }
  return v;
}

// A row of up to kQuads * 128 channels in a warp's registers; lanes beyond the row hold zeros.
template <int kQuads>
struct Row {
  float4 quad[kQuads];

  static __device__ __forceinline__ int channel(int i) {
    return i * kSpan + static_cast<int>(threadIdx.x) * 4;
  }

  template <typename T>
  __device__ __forceinline__ void read(const T* row, int channels) {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      quad[i] = channel(i) < channels ? read_quad(row + channel(i)) : make_float4(0, 0, 0, 0);
    }
  }

  template <typename T>
  __device__ __forceinline__ void write(T* row, int channels) const {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      if (channel(i) < channels) write_quad(row + channel(i), quad[i]);
    }
  }

  // Two passes over registers: mean first, then the squares about it, as PyTorch's accuracy needs.
  __device__ __forceinline__ void normalize(const float* gamma, const float* beta, int channels,
                                            float epsilon) {
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < kQuads; ++i) total += sum4(quad[i]);
    const float count = static_cast<float>(channels);
    const float mean = warp_sum(total) / count;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      if (channel(i) >= channels) continue;  // must stay zero: a second norm sums over all lanes
      quad[i] = quad[i] + make_float4(-mean, -mean, -mean, -mean);
      squares += sum4(fma4(quad[i], quad[i], make_float4(0, 0, 0, 0)));
    }
    const float scale = rsqrtf(warp_sum(squares) / count + epsilon);
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      if (channel(i) >= channels) continue;
      const float4 g = read_quad(gamma + channel(i));
      const float4 scaled =
          make_float4(quad[i].x * scale, quad[i].y * scale, quad[i].z * scale, quad[i].w * scale);
      quad[i] = fma4(scaled, g, read_quad(beta + channel(i)));
    }
  }
};

template <typename T, int kQuads>
__global__ void __launch_bounds__(kWarp* kRowsPerBlock)
    gated_norm_kernel(const __grid_constant__ pm_gated_norm_params a) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.y;
  dependency_wait();  // y comes from the previous launch
  if (row >= a.rows) return;
  Row<kQuads> y;
  Row<kQuads> z;
  y.read(static_cast<const T*>(a.y) + row * a.channels, a.channels);
  z.read(static_cast<const T*>(a.z) + row * a.z_stride, a.channels);
  y.normalize(a.gamma, a.beta, a.channels, a.epsilon);
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    y.quad[i] = make_float4(y.quad[i].x * silu(z.quad[i].x), y.quad[i].y * silu(z.quad[i].y),
                            y.quad[i].z * silu(z.quad[i].z), y.quad[i].w * silu(z.quad[i].w));
  }
  y.write(static_cast<T*>(a.out) + row * a.channels, a.channels);
}

template <typename T, int kQuads>
__global__ void __launch_bounds__(kWarp* kRowsPerBlock)
    add_norm_kernel(const __grid_constant__ pm_add_norm_params a) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.y;
  dependency_wait();  // branch comes from the previous launch
  if (row >= a.rows) return;
  Row<kQuads> sum;
  Row<kQuads> branch;
  sum.read(a.residual + row * a.channels, a.channels);
  branch.read(static_cast<const T*>(a.branch) + row * a.channels, a.channels);
#pragma unroll
  for (int i = 0; i < kQuads; ++i) sum.quad[i] = sum.quad[i] + branch.quad[i];
  if (a.shared_gamma != nullptr) {
    sum.normalize(a.shared_gamma, a.shared_beta, a.channels, a.shared_epsilon);
  }
  sum.write(a.stream + row * a.channels, a.channels);
  sum.normalize(a.gamma, a.beta, a.channels, a.epsilon);
  sum.write(static_cast<T*>(a.out) + row * a.channels, a.channels);
}

// The kernel for a row length, by quads a lane: 128, 256, 512 or 1024 channels.
template <template <typename, int> class Pick, typename T>
const void* by_length(int channels) {
  if (channels <= kSpan) return Pick<T, 1>::kernel();
  if (channels <= 2 * kSpan) return Pick<T, 2>::kernel();
  if (channels <= 4 * kSpan) return Pick<T, 4>::kernel();
  return Pick<T, 8>::kernel();
}

template <typename T, int kQuads>
struct GatedNorm {
  static const void* kernel() {
    return reinterpret_cast<const void*>(&gated_norm_kernel<T, kQuads>);
  }
};
template <typename T, int kQuads>
struct AddNorm {
  static const void* kernel() { return reinterpret_cast<const void*>(&add_norm_kernel<T, kQuads>); }
};

bool valid_rows(int64_t rows, int channels, int dtype) {
  return rows > 0 && channels >= 4 && channels % 4 == 0 && channels <= PM_MAX_NORM_CHANNELS &&
         (dtype == PM_FLOAT32 || dtype == PM_FLOAT16);
}

template <template <typename, int> class Pick, typename Params>
cudaError_t launch_rows(const Params& params, cudaStream_t stream) {
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  const int64_t blocks = (params.rows + kRowsPerBlock - 1) / kRowsPerBlock;
  if (blocks > INT32_MAX) return cudaErrorInvalidValue;
  const void* kernel = params.dtype == PM_FLOAT16 ? by_length<Pick, __half>(params.channels)
                                                  : by_length<Pick, float>(params.channels);
  Params copy = params;
  void* args[] = {&copy};
  return launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(kWarp, kRowsPerBlock), args, true,
                device, stream);
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_gated_norm(const pm_gated_norm_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->y == nullptr || params->z == nullptr ||
      params->gamma == nullptr || params->beta == nullptr || params->out == nullptr ||
      params->z_stride < params->channels || params->z_stride % 4 != 0 ||
      !valid_rows(params->rows, params->channels, params->dtype)) {
    return cudaErrorInvalidValue;
  }
  return launch_rows<GatedNorm>(*params, stream);
}

extern "C" cudaError_t pm_cuda_add_norm(const pm_add_norm_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->residual == nullptr || params->branch == nullptr ||
      params->gamma == nullptr || params->beta == nullptr || params->stream == nullptr ||
      params->out == nullptr ||
      (params->shared_gamma == nullptr) != (params->shared_beta == nullptr) ||
      !valid_rows(params->rows, params->channels, params->dtype)) {
    return cudaErrorInvalidValue;
  }
  return launch_rows<AddNorm>(*params, stream);
}
