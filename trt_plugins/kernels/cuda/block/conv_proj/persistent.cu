// One thread block a multiprocessor keeps x_proj's weights, the taps and the bias in shared memory.
// A warp convolves 16 positions at a time, taken from the batch as one list, and multiplies them
// itself, or with the three others of its warpgroup: no barrier joins the block, so warps drift
// apart and hide each other's reads. For batches, where the small design would read the weights
// from the L2 for every 32 positions.
#include <algorithm>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/project_cores.cuh"
#include "cuda/block/conv_proj/project_tiles.cuh"
#include "cuda/block/conv_proj/runs.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kGroup = Rows16<128>::kRows;  // positions of a warp
constexpr int kRun = 4;                     // of them convolved at once by a thread

template <int Channels>
struct Shared {
  static constexpr int kStride = Rows16<Channels>::kStride;

  alignas(16) float taps[9 * Channels];
  alignas(16) float bias[Channels];
  alignas(16) __half rows[kWarps][kGroup * kStride];
  uint64_t weights_full;
  // The projection follows.

  static constexpr std::size_t bytes(int columns) {
    return sizeof(Shared) + static_cast<std::size_t>(columns / 16) * Rows16<Channels>::kTile;
  }
};

// Convolves positions [first, first + 16) of the list: to the warp's rows, and to u.
template <int Channels>
__device__ __forceinline__ void convolve(const Shared<Channels>& shared, __half* rows,
                                         const pm_conv_proj_params& a, int positions, int first,
                                         int lane) {
  constexpr int kLanes = Channels / 8;  // of a position
  constexpr int kAtOnce = 32 / kLanes;  // runs of a warp
  static_assert(kLanes <= 32, "a position in one warp");
  const int channel = lane % kLanes * 8;
  __half* u = static_cast<__half*>(a.u) + channel;
#pragma unroll 1
  for (int part = 0; part < kGroup; part += kAtOnce * kRun) {
    const int row = part + lane / kLanes * kRun;
    const int position = first + row;
    convolve_run<Channels, kRun>(
        a, shared.taps, shared.bias, positions, position, channel, [&](int i, const uint4& bits) {
          *reinterpret_cast<uint4*>(rows + (row + i) * Shared<Channels>::kStride + channel) = bits;
          if (position + i < positions) {
            *reinterpret_cast<uint4*>(u + int64_t{position + i} * Channels) = bits;
          }
        });
  }
}

template <class Projection, int Channels>
__device__ __forceinline__ void run_block(const pm_conv_proj_params& a, int positions) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<Channels>*>(memory);
  unsigned char* weights = memory + sizeof(Shared<Channels>);
  const int thread = static_cast<int>(threadIdx.x);
  constexpr int kTogether = Projection::kTogether;
  // From one lane where warps multiply together: the compiler sees that all lanes have it. It costs
  // a register too many elsewhere.
  const int warp = kTogether > 1 ? __shfl_sync(~0u, thread / 32, 0) : thread / 32;
  const int lane = thread % 32;
  if (thread == 0) barrier_init(&shared.weights_full, kThreads);
  for (int i = thread; i < 9 * Channels; i += kThreads) shared.taps[i] = __ldg(a.weight + i);
  for (int i = thread; i < Channels; i += kThreads) shared.bias[i] = __ldg(a.bias + i);
  __syncthreads();  // the barrier, taps and bias are there
  Projection::load(weights, a, &shared.weights_full, thread, kThreads);
  dependency_wait();  // x comes from the previous launch; the weights do not
  dependency_release();

  // Blocks take neighbouring units, whose reads overlap, as many as warps can or fewer where there
  // are few; from the end, for what the block before this one has written last may still be in the
  // L2.
  constexpr int kUnit = kTogether * kGroup;  // positions
  const int units = (positions + kUnit - 1) / kUnit;
  const int blocks = static_cast<int>(gridDim.x);
  const int each = min(kWarps / kTogether, (units + blocks - 1) / blocks);
  if (warp / kTogether >= each) return;
  const int unit = static_cast<int>(blockIdx.x) * each + warp / kTogether;
  __half* rows = shared.rows[warp];
#pragma unroll 1
  for (int first = (units - 1 - unit) * kUnit + warp % kTogether * kGroup; first >= 0;
       first -= blocks * each * kUnit) {
    convolve<Channels>(shared, rows, a, positions, first, lane);
    __syncwarp();  // the rows are complete
    barrier_wait(&shared.weights_full, 0);
    Projection::project(weights, rows, a, positions, first, lane);
    __syncwarp();  // and read
  }
}

template <class Projection, int Channels>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_persistent_kernel(const __grid_constant__ pm_conv_proj_params a, int positions) {
#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (Projection::kTogether == 1)  // warpgroups' products have no code here
#endif
    run_block<Projection, Channels>(a, positions);
}

template <class Projection, int Channels>
cudaError_t run_with(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  int positions = static_cast<int>(params.batch * params.frames * params.joints);
  constexpr int kUnit = kGroup * Projection::kTogether;
  const int units = (positions + kUnit - 1) / kUnit;
  void* args[] = {&copy, &positions};
  return launch(reinterpret_cast<const void*>(&conv_proj_persistent_kernel<Projection, Channels>),
                dim3(static_cast<unsigned>(std::min(units, device.multiprocessors))),
                dim3(kThreads), args, true, device, stream,
                Shared<Channels>::bytes(params.columns));
}

template <int Channels>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  return kHasWarpgroups && device.major == 9
             ? run_with<CoreProjection<Channels>, Channels>(params, device, stream)
             : run_with<TileProjection<Channels>, Channels>(params, device, stream);
}

}  // namespace

cudaError_t launch_conv_proj_persistent(const pm_conv_proj_params& params, const Device& device,
                                        cudaStream_t stream) {
  if (params.channels == 128) return run<128>(params, device, stream);
  if (params.channels == 256) return run<256>(params, device, stream);
  return cudaErrorNotSupported;
}

bool conv_proj_persists(const pm_conv_proj_params& params, const Device& device) {
  constexpr int kGroups = 3;  // a multiprocessor: measured, 2 are too few and 4 enough
  const int64_t positions = params.batch * params.frames * params.joints;
  if (positions > INT32_MAX / 2 || positions < int64_t{kGroup} * kGroups * device.multiprocessors) {
    return false;
  }
  if (params.channels == 128) return Shared<128>::bytes(params.columns) <= device.shared_bytes;
  if (params.channels == 256) return Shared<256>::bytes(params.columns) <= device.shared_bytes;
  return false;
}

}  // namespace posemamba::cuda
