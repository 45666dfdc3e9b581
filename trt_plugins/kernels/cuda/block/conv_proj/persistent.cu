// One thread block a multiprocessor keeps x_proj's weights, the taps and the bias in shared memory.
// A warp convolves 16 positions at a time, taken from the batch as one list, and multiplies them
// itself: nothing is exchanged between warps, so they drift apart and hide each other's reads. For
// batches, where the small design would read the weights from the L2 for every 32 positions.
#include <algorithm>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/taps.cuh"
#include "cuda/block/copy_async.cuh"
#include "cuda/block/pair_columns.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kGroup = 16;  // positions of a warp
constexpr int kRun = 4;     // of them convolved at once by a thread

template <int Channels>
struct Shared {
  static constexpr int kStride = Channels + kRowPad;   // halves of a row
  static constexpr int kTile = kGroup * Channels * 2;  // bytes of 16 columns of the projection

  alignas(16) float taps[9 * Channels];
  alignas(16) float bias[Channels];
  alignas(16) __half rows[kWarps][kGroup * kStride];
  uint64_t weights_full;
  // The packed projection follows: columns / 16 tiles.

  static constexpr std::size_t bytes(int columns) {
    return sizeof(Shared) + static_cast<std::size_t>(columns / 16) * kTile;
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
  const int frames = static_cast<int>(a.frames);
  const __half* x = static_cast<const __half*>(a.x) + channel;
  __half* u = static_cast<__half*>(a.u) + channel;
#pragma unroll 1
  for (int part = 0; part < kGroup; part += kAtOnce * kRun) {
    const int row = part + lane / kLanes * kRun;
    const int position = first + row;
    int joint = position % a.joints;
    int frame = position / a.joints % frames;
    Edge edge[kRun];
    bool none[3][kRun] = {};
    float sum[kRun][8];
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      edge[i] = {joint == 0, joint == a.joints - 1};
      none[0][i] = frame == 0, none[2][i] = frame == frames - 1;
      if (++joint == a.joints) {
        joint = 0;
        if (++frame == frames) frame = 0;
      }
      read_floats(shared.bias + channel, sum[i]);
    }
#pragma unroll
    for (int tap_row = 0; tap_row < 3; ++tap_row) {
      add_taps<kRun>(x, a.x_stride, position + (tap_row - 1) * a.joints, positions,
                     shared.taps + tap_row * 3 * Channels + channel, Channels, edge, none[tap_row],
                     sum);
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const uint4 bits = silu_bits(sum[i]);
      *reinterpret_cast<uint4*>(rows + (row + i) * Shared<Channels>::kStride + channel) = bits;
      if (position + i < positions) {
        *reinterpret_cast<uint4*>(u + int64_t{position + i} * Channels) = bits;
      }
    }
  }
}

// x_dbl of the warp's rows, two tiles of 16 columns at a time; an odd last tile goes alone.
template <int Channels>
__device__ __forceinline__ void project(const uint4* weights, const __half* rows,
                                        const pm_conv_proj_params& a, int positions, int first,
                                        int lane) {
  constexpr int kSteps = Channels / 16;
  uint32_t operand[kSteps][4];
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    load_a(rows, Shared<Channels>::kStride, 0, k * 16, lane, operand[k]);
  }
  const int row = first + lane / 4;
  const bool exists[2] = {row < positions, row + 8 < positions};
  __half* to = static_cast<__half*>(a.x_dbl) + int64_t{row} * a.columns;
  int column = 0;
#pragma unroll 1
  for (; column + 32 <= a.columns; column += 32, weights += 2 * kSteps * 32) {
    PairSum pair;
    pair.clear();
#pragma unroll
    for (int k = 0; k < kSteps; ++k) pair.add(operand[k], weights + k * 32, kSteps * 32, lane);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const uint4 bits = pair.row(r, lane);
      if (!exists[r]) continue;
      *reinterpret_cast<uint4*>(to + r * 8 * a.columns + column + paired_column(lane)) = bits;
    }
  }
  if (column == a.columns) return;
  float sum[2][4] = {};
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    const uint4 b = weights[k * 32 + lane];
    mma(sum[0], operand[k], b.x, b.y);
    mma(sum[1], operand[k], b.z, b.w);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!exists[r]) continue;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      put_half2(to + r * 8 * a.columns + column + h * 8 + lane % 4 * 2,
                make_float2(sum[h][2 * r], sum[h][2 * r + 1]));
    }
  }
}

template <int Channels>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_persistent_kernel(const __grid_constant__ pm_conv_proj_params a, int positions) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<Channels>*>(memory);
  auto* weights = reinterpret_cast<uint4*>(memory + sizeof(Shared<Channels>));
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const auto copy = [thread](void* to, const void* from, int words) {
    for (int i = thread; i < words; i += kThreads) {
      copy_async(static_cast<uint4*>(to) + i, static_cast<const uint4*>(from) + i);
    }
  };
  if (thread == 0) barrier_init(&shared.weights_full, kThreads);
  for (int i = thread; i < 9 * Channels; i += kThreads) shared.taps[i] = __ldg(a.weight + i);
  for (int i = thread; i < Channels; i += kThreads) shared.bias[i] = __ldg(a.bias + i);
  __syncthreads();  // the barrier, taps and bias are there
  copy(weights, a.projection, a.columns / 16 * (Shared<Channels>::kTile / 16));
  copies_arrive(&shared.weights_full);
  dependency_wait();  // x comes from the previous launch; the weights do not
  dependency_release();

  const int groups = (positions + kGroup - 1) / kGroup;
  const int blocks = static_cast<int>(gridDim.x);
  const int each = (groups + blocks - 1) / blocks;  // neighbours, whose reads overlap
  const int begin = static_cast<int>(blockIdx.x) * each;
  const int end = min(groups, begin + each);
  __half* rows = shared.rows[warp];
#pragma unroll 1
  for (int group = begin + warp; group < end; group += kWarps) {
    convolve<Channels>(shared, rows, a, positions, group * kGroup, lane);
    __syncwarp();  // the rows are complete
    barrier_wait(&shared.weights_full, 0);
    project<Channels>(weights, rows, a, positions, group * kGroup, lane);
    __syncwarp();  // and read
  }
}

template <int Channels>
cudaError_t run(const pm_conv_proj_params& params, const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  int positions = static_cast<int>(params.batch * params.frames * params.joints);
  const int groups = (positions + kGroup - 1) / kGroup;
  void* args[] = {&copy, &positions};
  return launch(reinterpret_cast<const void*>(&conv_proj_persistent_kernel<Channels>),
                dim3(static_cast<unsigned>(std::min(groups, device.multiprocessors))),
                dim3(kThreads), args, true, device, stream,
                Shared<Channels>::bytes(params.columns));
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
