// 512 channels in batches, on sm_90a: x_proj's weights fill a multiprocessor, so the convolution is
// a launch of its own, and a thread block a multiprocessor multiplies what it wrote. The rows come
// from global memory straight into the operand's registers.
#include <algorithm>

#include "cuda/block/conv_proj/convolve_rows.cuh"
#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/gathered.cuh"
#include "cuda/block/wgmma.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kChannels = 512;
constexpr int kColumns = 192;  // of four directions, rank 16 and 16 states
constexpr int kUnit = 64;      // rows of a warpgroup

// Of a block of so many warpgroups.
template <int Groups>
struct Projection {
  static constexpr int kThreads = 128 * Groups;

  alignas(128) unsigned char weights[kColumns * kChannels * sizeof(__half)];

  // Core matrices of the packed weights: inputs as gathered.cuh says, columns so that a lane's sums
  // are eight neighbours. A lane's words of two tiles along the inputs are a core row of its
  // column, and one of the eighth column after it.
  __device__ __forceinline__ void load(const void* projection, int thread) {
    constexpr int kSteps = kChannels / 16;
    const auto* packed = static_cast<const uint4*>(projection);
    const int lane = thread % 32;
#pragma unroll 4
    for (int i = thread / 32; i < kColumns / 16 * kSteps / 2; i += kThreads / 32) {
      const int tile = i / (kSteps / 2);
      const int c = i % (kSteps / 2);  // 32 inputs
      const uint4 first = __ldg(packed + (tile * kSteps + 2 * c) * 32 + lane);
      const uint4 second = __ldg(packed + (tile * kSteps + 2 * c + 1) * 32 + lane);
      const auto put = [&](int column, uint4 bits) {
        const int row = (4 * c + lane % 4) * kColumns + neighbours_of_32(column);
        *reinterpret_cast<uint4*>(weights + row * 16) = bits;
      };
      put(tile * 16 + lane / 4, make_uint4(first.x, first.y, second.x, second.y));
      put(tile * 16 + lane / 4 + 8, make_uint4(first.z, first.w, second.z, second.w));
    }
  }
};

template <int Groups>
__device__ __forceinline__ void run_block(const pm_conv_proj_params& a, int positions) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr int kParts = kChannels / 64;  // a row is read in so many
  auto& shared = *reinterpret_cast<Projection<Groups>*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = __shfl_sync(~0u, thread / 32, 0);  // from one lane: the same in all
  const int lane = thread % 32;
  shared.load(a.projection, thread);
  writes_before_products();
  __syncthreads();    // the weights are there
  dependency_wait();  // u comes from the previous launch
  dependency_release();

  // From the end: the convolution has written that last.
  const int units = (positions + kUnit - 1) / kUnit;
  const int stride = static_cast<int>(gridDim.x) * Groups;
  int unit = units - 1 - static_cast<int>(blockIdx.x) * Groups - warp / 4;
  if (unit < 0) return;
  const __half* row[2];
  const auto find = [&] {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = unit * kUnit + warp % 4 * 16 + lane / 4 + 8 * r;
      row[r] = static_cast<const __half*>(a.u) + int64_t{min(at, positions - 1)} * kChannels +
               lane % 4 * 8;
    }
  };
  uint32_t operand[2][4][4];
  find();
  load_gathered(operand[0], row);
  while (unit >= 0) {
    const int first = unit * kUnit + warp % 4 * 16 + lane / 4;
    float sum[kColumns / 8][4] = {};
#pragma unroll 1
    for (int part = 0; part < kParts; part += 2) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const unsigned char* weights = shared.weights + (part + i) * 64 * kColumns * sizeof(__half);
        start_products(sum, operand[i], weights, kColumns);
        if (part + i + 1 < kParts) {
          row[0] += 64, row[1] += 64;
          load_gathered(operand[1 - i], row);
        } else {
          unit -= stride;
          if (unit >= 0) {
            find();
            load_gathered(operand[1 - i], row);
          }
        }
        products_wait<0>();
        products_end(sum);
      }
    }
    __half* to = static_cast<__half*>(a.x_dbl) + int64_t{first} * kColumns + lane % 4 * 8;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (first + 8 * r >= positions) continue;
#pragma unroll
      for (int i = 0; i < kColumns / 32; ++i) {
        uint32_t words[4];
#pragma unroll
        for (int t = 0; t < 4; ++t) {
          words[t] = half_pair(sum[i * 4 + t][2 * r], sum[i * 4 + t][2 * r + 1]);
        }
        *reinterpret_cast<uint4*>(to + r * 8 * kColumns + i * 32) =
            make_uint4(words[0], words[1], words[2], words[3]);
      }
    }
  }
}

template <int Groups>
__global__ void __launch_bounds__(Projection<Groups>::kThreads, 1)
    project_kernel(const __grid_constant__ pm_conv_proj_params a, int positions) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  run_block<Groups>(a, positions);
#endif
}

constexpr int kGroups = 3;  // 168 registers a thread

}  // namespace

cudaError_t launch_conv_proj_parted(const pm_conv_proj_params& params, const Device& device,
                                    cudaStream_t stream) {
  if (params.channels != kChannels || params.columns != kColumns) return cudaErrorNotSupported;
  pm_conv_proj_params a = params;
  int positions = static_cast<int>(params.batch * params.frames * params.joints);
  void* args[] = {&a, &positions};
  const auto start = [&](const void* kernel, int units, int most, int threads, std::size_t shared) {
    return launch(kernel, dim3(static_cast<unsigned>(std::min(units, most))),
                  dim3(static_cast<unsigned>(threads)), args, true, device, stream, shared);
  };
  const auto blocks = [&](int rows) { return (positions + rows - 1) / rows; };
  const cudaError_t error = start(reinterpret_cast<const void*>(&convolve_rows_kernel<kChannels>),
                                  blocks(kStrip), 2 * device.multiprocessors, kConvolveThreads, 0);
  if (error != cudaSuccess) return error;
  return start(reinterpret_cast<const void*>(&project_kernel<kGroups>), blocks(kUnit * kGroups),
               device.multiprocessors, Projection<kGroups>::kThreads, sizeof(Projection<kGroups>));
}

bool conv_proj_can_part(const pm_conv_proj_params& params, const Device& device) {
  const int64_t positions = params.batch * params.frames * params.joints;
  return kHasWarpgroups && device.major == 9 && params.channels == kChannels &&
         params.columns == kColumns && sizeof(Projection<kGroups>) <= device.shared_bytes &&
         positions <= INT32_MAX / 2;
}

bool conv_proj_parts(const pm_conv_proj_params& params, const Device& device) {
  constexpr int64_t kPositions = 100;  // a multiprocessor: measured, 31 are too few, 111 enough
  return conv_proj_can_part(params, device) &&
         params.batch * params.frames * params.joints >= kPositions * device.multiprocessors;
}

}  // namespace posemamba::cuda
