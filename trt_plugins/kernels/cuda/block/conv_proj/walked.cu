// One thread block a multiprocessor keeps x_proj's weights, the taps and the bias in shared memory,
// convolves whole frames and writes what the split-channel scan reads: no x_dbl, and no kernel
// between. For batches.
#include <algorithm>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/runs.cuh"
#include "cuda/block/conv_proj/walked_rows.cuh"
#include "cuda/scan/clear.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = 16 * kWarps;  // of a thread block
constexpr int kRun = 4;             // of them convolved at once by a thread

// Followed by the core matrices of x_proj.
template <int Channels>
struct Shared {
  static constexpr int kStride = Channels + kRowPad;  // halves of a row

  alignas(16) float taps[9 * Channels];
  alignas(16) float bias[Channels];
  alignas(16) __half rows[kRows * kStride];

  static constexpr std::size_t bytes(int outputs) {
    return sizeof(Shared) + static_cast<std::size_t>(outputs) * Channels * sizeof(__half);
  }
};

// Convolves a tile: to shared memory, and to u.
template <int Channels>
__device__ __forceinline__ void convolve(Shared<Channels>& shared, const pm_conv_proj_params& a,
                                         const FrameTile& tile, int positions, int warp, int lane) {
  constexpr int kLanes = Channels / 8;  // of a position
  constexpr int kAtOnce = 32 / kLanes;  // runs of a warp
  static_assert(kLanes <= 32, "a position in one warp");
  const int channel = lane % kLanes * 8;
  const int count = tile.frames * a.joints;
  const int first = tile.first * a.joints;
  __half* u = static_cast<__half*>(a.u) + channel;
#pragma unroll 1
  for (int run = warp * kAtOnce + lane / kLanes; run * kRun < count; run += kWarps * kAtOnce) {
    const int row = run * kRun;
    convolve_run<Channels, kRun>(
        a, shared.taps, shared.bias, positions, first + row, channel,
        [&](int i, const uint4& bits) {
          if (row + i >= count) return;
          __half* to = shared.rows + (row + i) * Shared<Channels>::kStride + channel;
          *reinterpret_cast<uint4*>(to) = bits;
          *reinterpret_cast<uint4*>(u + int64_t{first + row + i} * Channels) = bits;
        });
  }
}

// The scan copies B and C in groups of four steps, and uses none past the end. The block that has
// an item's last frame fills that group.
__device__ __forceinline__ void pad(const CrossArgs& c, const Prepared& to, const FrameTile& tile,
                                    int thread) {
  const int floats = (to.steps4 - c.steps) * 2 * kStates;
  if (floats == 0) return;
  const int end = tile.first + tile.frames;
  for (int item = tile.first / c.frames; (item + 1) * c.frames <= end; ++item) {
    for (int i = thread; i < floats * c.directions; i += kThreads) {
      const int step = c.steps + i % floats / (2 * kStates);
      const int64_t row = (int64_t{item} * c.directions + i / floats) * to.steps4;
      to.bc[(row + (step & ~3)) * (2 * kStates) + i % (2 * kStates) * 4 + (step & 3)] = 0.0f;
    }
  }
}

// Blocks take tiles of `frames` frames of the batch, from the end, for what the block before this
// one has written last may still be in the L2.
template <int Channels, int RankBlocks, bool Warpgroups>
__device__ __forceinline__ void run_block(const pm_conv_proj_params& a, const CrossArgs& c,
                                          const Prepared& to, int frames) {
  using Columns = ColumnBlocks<RankBlocks>;
  unsigned char* memory = dynamic_shared();
  auto& shared = *reinterpret_cast<Shared<Channels>*>(memory);
  unsigned char* cores = memory + sizeof(Shared<Channels>);
  const int thread = static_cast<int>(threadIdx.x);
  // From one lane: the compiler sees that all have it.
  const int warp = Warpgroups ? __shfl_sync(~0u, thread / 32, 0) : thread / 32;
  const int lane = thread % 32;
  for (int i = thread; i < 9 * Channels; i += kThreads) shared.taps[i] = __ldg(a.weight + i);
  for (int i = thread; i < Channels; i += kThreads) shared.bias[i] = __ldg(a.bias + i);
  __syncthreads();  // taps and bias are there
  load_cores<Channels>(cores, a.projection, a.columns, c.directions * Columns::kWidth, thread,
                       kThreads, [&](int column) { return Columns::place_of(column, c.dt_rank); });
  if constexpr (Warpgroups) writes_before_products();  // other warps' too, behind the next barrier
  dependency_wait();  // x comes from the previous launch; the weights do not
  dependency_release();
  clear_share(to.clear);

  constexpr int kTogether = Warpgroups ? 4 : 1;  // warps that multiply together
  const int all = static_cast<int>(a.batch * a.frames);
  const int tiles = (all + frames - 1) / frames;
#pragma unroll 1
  for (int t = tiles - 1 - static_cast<int>(blockIdx.x); t >= 0; t -= static_cast<int>(gridDim.x)) {
    const FrameTile tile{t * frames, min(frames, all - t * frames)};
    convolve<Channels>(shared, a, tile, all * a.joints, warp, lane);
    pad(c, to, tile, thread);
    __syncthreads();  // rows and weights are complete
    if (warp / kTogether * kTogether * 16 < tile.frames * a.joints) {
      write_walks<Channels, RankBlocks, Warpgroups>(
          c, to, tile, shared.rows, Shared<Channels>::kStride, cores, warp * 16, lane);
    }
    __syncthreads();  // and read
  }
}

template <int Channels, int RankBlocks, bool Warpgroups>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_walked_kernel(const __grid_constant__ pm_conv_proj_params a,
                            const __grid_constant__ CrossArgs c,
                            const __grid_constant__ Prepared to, int frames) {
#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (!Warpgroups)  // warpgroups' products have no code here
#endif
    run_block<Channels, RankBlocks, Warpgroups>(a, c, to, frames);
}

// Frames of a tile: as many as its rows hold, or fewer where that gives every block as many tiles.
int frames_of(const pm_conv_proj_params& p, const Device& device) {
  const int64_t all = p.batch * p.frames;
  const int64_t at_once = device.multiprocessors;
  const int64_t most = at_once * (kRows / p.joints);
  const int64_t rounds = (all + most - 1) / most;
  return static_cast<int>((all + rounds * at_once - 1) / (rounds * at_once));
}

template <int Channels, int RankBlocks, bool Warpgroups>
cudaError_t run_with(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                     const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  CrossArgs args_of_scan = scan;
  Prepared prepared = to;
  int frames = frames_of(params, device);
  const int64_t tiles = (params.batch * params.frames + frames - 1) / frames;
  const int64_t blocks = std::min<int64_t>(tiles, device.multiprocessors);
  void* args[] = {&copy, &args_of_scan, &prepared, &frames};
  return launch(
      reinterpret_cast<const void*>(&conv_proj_walked_kernel<Channels, RankBlocks, Warpgroups>),
      dim3(static_cast<unsigned>(blocks)), dim3(kThreads), args, true, device, stream,
      Shared<Channels>::bytes(scan.directions * ColumnBlocks<RankBlocks>::kWidth));
}

template <int Channels, int RankBlocks>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                const Device& device, cudaStream_t stream) {
  return kHasWarpgroups && device.major == 9
             ? run_with<Channels, RankBlocks, true>(params, scan, to, device, stream)
             : run_with<Channels, RankBlocks, false>(params, scan, to, device, stream);
}

template <int Channels>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                const Device& device, cudaStream_t stream) {
  return scan.dt_rank <= 8 ? run<Channels, 1>(params, scan, to, device, stream)
                           : run<Channels, 2>(params, scan, to, device, stream);
}

template <int Channels>
bool fits(const pm_cross_scan_params& scan, const Device& device) {
  const int width = scan.dt_rank <= 8 ? ColumnBlocks<1>::kWidth : ColumnBlocks<2>::kWidth;
  return Shared<Channels>::bytes(scan.directions * width) <= device.shared_bytes;
}

}  // namespace

cudaError_t launch_conv_proj_walked(const pm_conv_proj_params& params, const CrossArgs& scan,
                                    const Prepared& to, const Device& device, cudaStream_t stream) {
  if (params.channels == 128) return run<128>(params, scan, to, device, stream);
  if (params.channels == 256) return run<256>(params, scan, to, device, stream);
  return cudaErrorNotSupported;
}

bool conv_proj_walks(const pm_cross_scan_params& scan, const Device& device) {
  if (scan.batch * scan.frames * scan.joints > INT32_MAX / 2) return false;
  if (scan.dt_rank % 4 != 0 || scan.dt_rank > 16 || scan.d_state != kStates) return false;
  if (scan.d_inner == 128) return fits<128>(scan, device);
  return scan.d_inner == 256 && fits<256>(scan, device);
}

}  // namespace posemamba::cuda
