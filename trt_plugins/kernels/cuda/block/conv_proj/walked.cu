// One thread block a multiprocessor keeps x_proj's weights, the taps and the bias in shared memory,
// convolves whole frames and writes what the split-channel scan reads: no x_dbl, and no kernel
// between. For batches.
#include <algorithm>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/runs.cuh"
#include "cuda/block/conv_proj/walked_rows.cuh"

namespace posemamba::cuda {
int walked_teams = 1;
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = 16 * kWarps;  // of a thread block
constexpr int kRun = 4;             // of them convolved at once by a thread

// Followed by the core matrices of x_proj. `Teams` parts of the block, each with frames of its own,
// share no barrier.
template <int Channels, int Teams>
struct Shared {
  static constexpr int kStride = Channels + kRowPad;  // halves of a row

  alignas(16) float taps[9 * Channels];
  alignas(16) float bias[Channels];
  alignas(16) __half rows[kRows * kStride];
  alignas(16) uint64_t weights_full;
  uint64_t met[Teams];

  static constexpr std::size_t bytes(int outputs) {
    return sizeof(Shared) + static_cast<std::size_t>(outputs) * Channels * sizeof(__half);
  }
};

// A team's convolution of its tile: to its rows, and to u.
template <int Channels, int Warps>
__device__ __forceinline__ void convolve(const float* taps, const float* bias, __half* rows,
                                         const pm_conv_proj_params& a, const FrameTile& tile,
                                         int positions, int warp, int lane) {
  constexpr int kLanes = Channels / 8;  // of a position
  constexpr int kAtOnce = 32 / kLanes;  // runs of a warp
  static_assert(kLanes <= 32, "a position in one warp");
  const int channel = lane % kLanes * 8;
  const int count = tile.frames * a.joints;
  const int first = tile.first * a.joints;
  __half* u = static_cast<__half*>(a.u) + channel;
#pragma unroll 1
  for (int run = warp * kAtOnce + lane / kLanes; run * kRun < count; run += Warps * kAtOnce) {
    const int row = run * kRun;
    convolve_run<Channels, kRun>(
        a, taps, bias, positions, first + row, channel, [&](int i, const uint4& bits) {
          if (row + i >= count) return;
          *reinterpret_cast<uint4*>(rows + (row + i) * (Channels + kRowPad) + channel) = bits;
          *reinterpret_cast<uint4*>(u + int64_t{first + row + i} * Channels) = bits;
        });
  }
}

// The scan copies B and C in groups of four steps, and uses none past the end. The team that has an
// item's last frame fills that group.
__device__ __forceinline__ void pad(const CrossArgs& c, const Prepared& to, const FrameTile& tile,
                                    int thread, int threads) {
  const int floats = (to.steps4 - c.steps) * 2 * kStates;
  if (floats == 0) return;
  const int end = tile.first + tile.frames;
  for (int item = tile.first / c.frames; (item + 1) * c.frames <= end; ++item) {
    for (int i = thread; i < floats * c.directions; i += threads) {
      const int step = c.steps + i % floats / (2 * kStates);
      const int64_t row = (int64_t{item} * c.directions + i / floats) * to.steps4;
      to.bc[(row + (step & ~3)) * (2 * kStates) + i % (2 * kStates) * 4 + (step & 3)] = 0.0f;
    }
  }
}

// Teams take tiles of `frames` frames of the batch, from the end, for what the block before this
// one has written last may still be in the L2.
template <int Channels, int RankBlocks, int Teams, bool Warpgroups>
__device__ __forceinline__ void run_block(const pm_conv_proj_params& a, const CrossArgs& c,
                                          const Prepared& to, int frames) {
  using Columns = ColumnBlocks<RankBlocks>;
  constexpr int kTeamWarps = kWarps / Teams;
  constexpr int kTeamThreads = 32 * kTeamWarps;
  static_assert(kTeamWarps % 4 == 0, "whole warpgroups");
  using Memory = Shared<Channels, Teams>;
  unsigned char* memory = dynamic_shared();
  auto& shared = *reinterpret_cast<Memory*>(memory);
  unsigned char* cores = memory + sizeof(Memory);
  const int thread = static_cast<int>(threadIdx.x);
  // From one lane: the compiler sees that all have it.
  const int warp = Warpgroups ? __shfl_sync(~0u, thread / 32, 0) : thread / 32;
  const int lane = thread % 32;
  const int team = warp / kTeamWarps;
  const int team_warp = warp % kTeamWarps;
  if (thread == 0) {
    barrier_init(&shared.weights_full, kThreads);
    for (int i = 0; i < Teams; ++i) barrier_init(&shared.met[i], kTeamThreads);
  }
  for (int i = thread; i < 9 * Channels; i += kThreads) shared.taps[i] = __ldg(a.weight + i);
  for (int i = thread; i < Channels; i += kThreads) shared.bias[i] = __ldg(a.bias + i);
  __syncthreads();  // barriers, taps and bias are there
  load_cores<Channels>(cores, a.projection, a.columns, c.directions * Columns::kWidth, thread,
                       kThreads,
                       [&](int column) { return Columns::place_of(column, c.dt_rank); });
  if constexpr (Warpgroups) writes_before_products();  // other warps' too, behind this arrival
  barrier_arrive(&shared.weights_full);
  dependency_wait();  // x comes from the previous launch; the weights do not
  dependency_release();

  const int all = static_cast<int>(a.batch * a.frames);
  const int tiles = (all + frames - 1) / frames;
  __half* rows = shared.rows + team * (kRows / Teams) * Memory::kStride;
  uint32_t parity = 0;
  const auto meet = [&] {
    barrier_arrive(&shared.met[team]);
    barrier_wait(&shared.met[team], parity);
    parity ^= 1;
  };
#pragma unroll 1
  for (int t = tiles - 1 - static_cast<int>(blockIdx.x) * Teams - team; t >= 0;
       t -= static_cast<int>(gridDim.x) * Teams) {
    const FrameTile tile{t * frames, min(frames, all - t * frames)};
    convolve<Channels, kTeamWarps>(shared.taps, shared.bias, rows, a, tile, all * a.joints,
                                   team_warp, lane);
    pad(c, to, tile, thread - team * kTeamThreads, kTeamThreads);
    meet();  // the rows are complete
    barrier_wait(&shared.weights_full, 0);
    // A warpgroup multiplies together.
    if (team_warp / (Warpgroups ? 4 : 1) * (Warpgroups ? 64 : 16) < tile.frames * a.joints) {
      write_walks<Channels, RankBlocks, Warpgroups>(c, to, tile, rows, Memory::kStride, cores,
                                                    team_warp * 16, lane);
    }
    meet();  // and read
  }
}

template <int Channels, int RankBlocks, int Teams, bool Warpgroups>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_walked_kernel(const __grid_constant__ pm_conv_proj_params a,
                            const __grid_constant__ CrossArgs c,
                            const __grid_constant__ Prepared to, int frames) {
#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (!Warpgroups)  // warpgroups' products have no code here
#endif
    run_block<Channels, RankBlocks, Teams, Warpgroups>(a, c, to, frames);
}

// Frames of a tile: as many as its rows hold, or fewer where that gives every team as many tiles.
int frames_of(const pm_conv_proj_params& p, int teams, const Device& device) {
  const int64_t all = p.batch * p.frames;
  const int64_t most = kRows / teams / p.joints;
  if (most == 0) return 0;
  const int64_t at_once = int64_t{device.multiprocessors} * teams;
  const int64_t rounds = (all + most * at_once - 1) / (most * at_once);
  return static_cast<int>((all + rounds * at_once - 1) / (rounds * at_once));
}

template <int Channels, int RankBlocks, int Teams, bool Warpgroups>
cudaError_t run_with(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                     const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  CrossArgs args_of_scan = scan;
  Prepared prepared = to;
  int frames = frames_of(params, Teams, device);
  const int64_t tiles = (params.batch * params.frames + frames - 1) / frames;
  const int64_t blocks = std::min<int64_t>((tiles + Teams - 1) / Teams, device.multiprocessors);
  void* args[] = {&copy, &args_of_scan, &prepared, &frames};
  return launch(reinterpret_cast<const void*>(
                    &conv_proj_walked_kernel<Channels, RankBlocks, Teams, Warpgroups>),
                dim3(static_cast<unsigned>(blocks)), dim3(kThreads), args, true, device, stream,
                Shared<Channels, Teams>::bytes(scan.directions *
                                               ColumnBlocks<RankBlocks>::kWidth));
}

template <int Channels, int RankBlocks>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                const Device& device, cudaStream_t stream) {
  const bool warpgroups = kHasWarpgroups && device.major == 9;
  if (walked_teams == 2) {
    return warpgroups ? run_with<Channels, RankBlocks, 2, true>(params, scan, to, device, stream)
                      : run_with<Channels, RankBlocks, 2, false>(params, scan, to, device, stream);
  }
  return warpgroups ? run_with<Channels, RankBlocks, 1, true>(params, scan, to, device, stream)
                    : run_with<Channels, RankBlocks, 1, false>(params, scan, to, device, stream);
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
  return Shared<Channels, 1>::bytes(scan.directions * width) <= device.shared_bytes;
}

}  // namespace

cudaError_t launch_conv_proj_walked(const pm_conv_proj_params& params, const CrossArgs& scan,
                                    const Prepared& to, const Device& device,
                                    cudaStream_t stream) {
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
