// A thread block owns whole frames, so that limb sums stay inside, and writes what the
// split-channel scan reads: no x_dbl, and no kernel between.
#include <algorithm>
#include <cstdint>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/frames.cuh"
#include "cuda/block/conv_proj/taps.cuh"
#include "cuda/device/copy_async.cuh"
#include "cuda/device/mma.cuh"
#include "cuda/scan/clear.cuh"

namespace posemamba::cuda {
namespace {

using split_channel::kPanel;
using split_channel::Prepared;

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kStates = 16;         // of the scan; B and C are twice as many floats a step
constexpr int kSums = 2 * kStates;  // of them
// Floats from a product's column to the next: eight columns by four rows hit all banks.
constexpr int kColumn = kFrameRows + 4;

// Followed by the products, [columns][kColumn] floats, and where they fit by the weights.
template <int Channels>
struct Shared {
  static constexpr int kStride = Channels + kRowPad;  // halves of a row

  alignas(16) __half rows[kFrameRows * kStride];
  Visit visits[PM_MAX_DIRECTIONS][kFrameRows];  // of the walks

  static constexpr std::size_t bytes(int columns, bool weights) {
    const std::size_t column = kColumn * sizeof(float) + (weights ? Channels * sizeof(__half) : 0);
    return sizeof(Shared) + static_cast<std::size_t>(columns) * column;
  }
};

// A block's frames of one item.
struct Frames {
  int64_t item;
  int first;  // position
  int rows;
};

// Convolves the block's rows: to shared memory, and to u.
template <int Channels, int Run>
__device__ __forceinline__ void convolve(Shared<Channels>& shared, const pm_conv_proj_params& a,
                                         const Frames& own) {
  constexpr int kLanes = Channels / 8;  // threads across the channels
  const int thread = static_cast<int>(threadIdx.x);
  const int steps = static_cast<int>(a.frames) * a.joints;
  const int channel = thread % kLanes * 8;
  const __half* x = static_cast<const __half*>(a.x) + own.item * steps * a.x_stride + channel;
  __half* u = static_cast<__half*>(a.u) + own.item * steps * Channels + channel;
  // A neighbouring frame that does not exist lies outside of the item, and reads as zero.
  constexpr bool outside[Run] = {};
#pragma unroll 1
  for (int row = thread / kLanes * Run; row < own.rows; row += kThreads / kLanes * Run) {
    const int position = own.first + row;
    Edge edge[Run];
    float sum[Run][8];
    int joint = position % a.joints;
#pragma unroll
    for (int i = 0; i < Run; ++i) {
      edge[i] = {joint == 0, joint == a.joints - 1};
      if (++joint == a.joints) joint = 0;
      read_floats(a.bias + channel, sum[i]);
    }
#pragma unroll
    for (int tap_row = 0; tap_row < 3; ++tap_row) {
      add_taps<Run>(x, a.x_stride, position + (tap_row - 1) * a.joints, steps,
                    a.weight + tap_row * 3 * Channels + channel, Channels, edge, outside, sum);
    }
#pragma unroll
    for (int i = 0; i < Run; ++i) {
      if (row + i >= own.rows) break;
      const uint4 bits = silu_bits(sum[i]);
      *reinterpret_cast<uint4*>(shared.rows + (row + i) * Shared<Channels>::kStride + channel) =
          bits;
      __stwb(reinterpret_cast<uint4*>(u + int64_t{position + i} * Channels), bits);
    }
  }
}

__device__ __forceinline__ uint4 sum_halves(uint4 a, const uint4& b) {
  auto* x = reinterpret_cast<__half2*>(&a);
  const auto* y = reinterpret_cast<const __half2*>(&b);
#pragma unroll
  for (int i = 0; i < 4; ++i) x[i] = __hadd2(x[i], y[i]);
  return a;
}

// The walks' panels of u, by `warps` warps of which this is the `warp`th. Eight neighbouring visits
// of four panels make a warp's store: 128 contiguous bytes of each where the steps are.
template <int Channels>
__device__ __forceinline__ void write_panels(const Shared<Channels>& shared, const CrossArgs& c,
                                             const Prepared& to, const Frames& own, int warp,
                                             int warps, int lane) {
  constexpr int kPanels = Channels / kPanel;
  constexpr int kParts = 4;  // of the panels, for as many units of work
  const int groups = (own.rows + 7) / 8;
#pragma unroll 1
  for (int unit = warp; unit < to.walks * groups * kParts; unit += warps) {
    const int walk = unit / (groups * kParts);
    const int index = unit / kParts % groups * 8 + lane % 8;
    if (index >= own.rows) continue;
    const Visit visit = shared.visits[walk][index];
    const bool masked = c.limb_mask[to.first[walk]] != 0;
    const int64_t row = (own.item * to.walks + walk) * kPanels;
    __half* u = to.u + (row * to.steps4 + visit.step) * kPanel;
#pragma unroll
    for (int i = 0; i < kPanels / (4 * kParts); ++i) {
      const int panel = (unit % kParts + i * kParts) * 4 + lane / 8;
      const __half* from = shared.rows + panel * kPanel;
      uint4 bits = *reinterpret_cast<const uint4*>(from + visit.row * Shared<Channels>::kStride);
      if (masked) {
        bits = sum_halves(
            bits, *reinterpret_cast<const uint4*>(from + visit.other * Shared<Channels>::kStride));
      }
      __stwb(reinterpret_cast<uint4*>(u + int64_t{panel} * to.steps4 * kPanel), bits);
    }
  }
}

// 16 columns of the products of all rows, transposed: the packed weights are the left operand of
// the tensor cores as they are their right one, with the middle words swapped. Rows are the right
// one, in eights, so 34 rows cost no more than 40.
// Weights are in shared memory (`Staged`), or come from the L2 several steps ahead.
template <int Channels, bool Staged>
struct Projection {
  static constexpr int kSteps = Channels / 16;
  static constexpr int kMost = Staged ? 4 : 16;
  static constexpr int kAhead = kSteps < kMost ? kSteps : kMost;
  static_assert(kSteps % kAhead == 0, "whole rounds of prefetched steps");
  uint4 weights[kAhead];
  const uint4* next;

  static __device__ __forceinline__ uint4 load(const uint4* from) {
    if constexpr (Staged) return *from;
    return __ldg(from);
  }
  __device__ __forceinline__ void prime(const uint4* packed, int tile, int lane) {
    next = packed + tile * kSteps * 32 + lane;
#pragma unroll
    for (int s = 0; s < kAhead; ++s) weights[s] = load(next + s * 32);
  }
  // Pairs of eight rows.
  template <int Pairs>
  __device__ __forceinline__ void run(const __half* rows, float* products, int lane) {
    float sum[Pairs][2][4] = {};
    // Of two times eight rows the first and second eight channels: what lane i addresses.
    const __half* from =
        rows + (lane / 16 * 8 + lane % 8) * Shared<Channels>::kStride + lane / 8 % 2 * 8;
#pragma unroll 1
    for (int s0 = 0; s0 < kSteps; s0 += kAhead) {
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
        const uint32_t a[4] = {weights[s].x, weights[s].z, weights[s].y, weights[s].w};
        uint32_t b[Pairs][4];
#pragma unroll
        for (int i = 0; i < Pairs; ++i) {
          load_matrices(from + i * 16 * Shared<Channels>::kStride + (s0 + s) * 16, b[i]);
        }
#pragma unroll
        for (int i = 0; i < Pairs; ++i) {
          mma(sum[i][0], a, b[i][0], b[i][1]);
          mma(sum[i][1], a, b[i][2], b[i][3]);
        }
        if (s0 + kAhead < kSteps) weights[s] = load(next + (s0 + s + kAhead) * 32);
      }
    }
    products += lane / 4 * kColumn + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2 * Pairs; ++i) {
      const float (&v)[4] = sum[i / 2][i % 2];
      *reinterpret_cast<float2*>(products + i * 8) = make_float2(v[0], v[1]);
      *reinterpret_cast<float2*>(products + 8 * kColumn + i * 8) = make_float2(v[2], v[3]);
    }
  }
  __device__ __forceinline__ void run(const __half* rows, float* products, int count, int lane) {
    if (count <= 16) {
      run<1>(rows, products, lane);
    } else if (count <= 32) {
      run<2>(rows, products, lane);
    } else {
      run<kFrameRows / 16>(rows, products, lane);
    }
  }
};

// B, C and dt inputs, limb summed. Four neighbouring steps by eight columns make a warp's store:
// 128 contiguous bytes where the steps are a whole group of four.
template <int Channels>
__device__ __forceinline__ void write_rows(const Shared<Channels>& shared, const float* products,
                                           const CrossArgs& c, const Prepared& to,
                                           const Frames& own, int warp, int lane) {
  const int rank = c.dt_rank;
  const int groups = (own.rows + 3) / 4 + 1;  // four visits, which may begin inside a group
#pragma unroll 1
  for (int unit = warp; unit < c.directions * groups; unit += kWarps) {
    const int k = unit / groups;
    const Visit* visits = shared.visits[to.walk[k]];
    const bool backwards = c.reverse[k] != 0;
    const auto step_of = [&](const Visit& visit) {
      return backwards ? c.steps - 1 - visit.step : visit.step;
    };
    // Where steps are contiguous, four visits are a group of four steps.
    const int start = step_of(visits[0]) & 3;
    const int index = (unit - k * groups) * 4 + lane % 4 - (backwards ? 3 - start : start);
    if (index < 0 || index >= own.rows) continue;
    const Visit visit = visits[index];
    const int step = step_of(visit);
    const float* from = products + (k * (rank + kSums) + lane / 4) * kColumn;
    const bool masked = c.limb_mask[k] != 0;
    const auto value = [&](int column) {
      const float own_row = from[column * kColumn + visit.row];
      const float sum = own_row + from[column * kColumn + visit.other];
      return masked ? sum : own_row;
    };
    const int64_t row = (own.item * c.directions + k) * to.steps4;
    float* raw = to.raw + (row + step) * rank + lane / 4;
    float* bc = to.bc + (row + (step & ~3)) * kSums + lane / 4 * 4 + (step & 3);
#pragma unroll
    for (int i = 0; i < kSums / 8; ++i) bc[i * 32] = value(rank + i * 8);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (lane / 4 + i * 8 < rank) raw[i * 8] = value(i * 8);
    }
  }
}

// A block owns `frames` frames of one batch item, at most kFrameRows rows. 16 warps of 128
// registers: one block an SM. Warps that have no columns to multiply write the panels meanwhile.
template <int Channels, int Run, bool Staged>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_prepared_kernel(const __grid_constant__ pm_conv_proj_params a,
                              const __grid_constant__ CrossArgs c,
                              const __grid_constant__ Prepared to, int frames) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<Channels>*>(memory);
  auto* products = reinterpret_cast<float*>(memory + sizeof(Shared<Channels>));
  const auto* weights = static_cast<const uint4*>(a.projection);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int first_frame = static_cast<int>(blockIdx.x) * frames;
  const int mine = min(frames, c.frames - first_frame);
  const Frames own{blockIdx.y, first_frame * c.joints, mine * c.joints};
  for (int i = thread; i < to.walks * own.rows; i += kThreads) {
    const int walk = i / own.rows;
    const int index = i - walk * own.rows;
    shared.visits[walk][index] = visit_of(c, c.order[to.first[walk]], first_frame, mine, index);
  }
  if constexpr (Staged) {  // they come from no earlier launch
    auto* staged = reinterpret_cast<uint4*>(products + a.columns * kColumn);
    for (int i = thread; i < a.columns * Channels / 8; i += kThreads) {
      copy_async(staged + i, weights + i);
    }
    weights = staged;
  }
  dependency_wait();  // x comes from the previous launch
  dependency_release();
  clear_share(to.clear);
  convolve<Channels, Run>(shared, a, own);
  Projection<Channels, Staged> projection;
  const int tiles = a.columns / 16;
  if (!Staged && warp < tiles) projection.prime(weights, warp, lane);
  copies_done();
  __syncthreads();  // rows, visits and staged weights are complete
#pragma unroll 1
  for (int tile = warp; tile < tiles; tile += kWarps) {
    if (Staged || tile != warp) projection.prime(weights, tile, lane);
    projection.run(shared.rows, products + tile * 16 * kColumn, own.rows, lane);
  }
  const int busy = tiles < kWarps ? tiles : 0;
  if (warp >= busy) {
    write_panels<Channels>(shared, c, to, own, warp - busy, kWarps - busy, lane);
  }
  __syncthreads();  // the products are complete
  write_rows<Channels>(shared, products, c, to, own, warp, lane);
  // The scan copies B and C in groups of four steps, and uses none past the end.
  if (first_frame + mine < c.frames) return;
  const int pad = (to.steps4 - c.steps) * kSums;
  for (int i = thread; i < pad * c.directions; i += kThreads) {
    const int step = c.steps + i % pad / kSums;
    to.bc[((own.item * c.directions + i / pad) * to.steps4 + (step & ~3)) * kSums + i % kSums * 4 +
          (step & 3)] = 0.0f;
  }
}

template <int Channels, int Run, bool Staged>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                int frames, const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  CrossArgs args_of_scan = scan;
  Prepared prepared = to;
  void* args[] = {&copy, &args_of_scan, &prepared, &frames};
  const dim3 grid(static_cast<unsigned>((params.frames + frames - 1) / frames),
                  static_cast<unsigned>(params.batch));
  return launch(reinterpret_cast<const void*>(&conv_proj_prepared_kernel<Channels, Run, Staged>),
                grid, dim3(kThreads), args, true, device, stream,
                Shared<Channels>::bytes(params.columns, Staged));
}

template <int Channels, int Run>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                int frames, const Device& device, cudaStream_t stream) {
  return Shared<Channels>::bytes(params.columns, true) <= device.shared_bytes
             ? run<Channels, Run, true>(params, scan, to, frames, device, stream)
             : run<Channels, Run, false>(params, scan, to, frames, device, stream);
}

// Frames of a thread block: as few as give every multiprocessor one block, or as many as its rows
// hold. 0: a frame has too many joints.
int frames_of_block(const pm_conv_proj_params& p, const Device& device) {
  const int64_t blocks = std::max<int64_t>(device.multiprocessors / p.batch, 1);  // of an item
  const int64_t frames = (p.frames + blocks - 1) / blocks;
  return static_cast<int>(std::min<int64_t>(frames, kFrameRows / p.joints));
}

// No kernel: more than any device has.
std::size_t shared_of(const pm_conv_proj_params& p) {
  if (p.channels == 128) return Shared<128>::bytes(p.columns, false);
  if (p.channels == 256) return Shared<256>::bytes(p.columns, false);
  return p.channels == 512 ? Shared<512>::bytes(p.columns, false) : SIZE_MAX;
}

}  // namespace

bool conv_proj_prepares(const pm_conv_proj_params& params, const Device& device) {
  return frames_of_block(params, device) > 0 && shared_of(params) <= device.shared_bytes;
}

bool conv_proj_prepares_at_once(const pm_conv_proj_params& params, const Device& device) {
  if (!conv_proj_prepares(params, device)) return false;
  const int64_t frames = frames_of_block(params, device);
  return (params.frames + frames - 1) / frames * params.batch <= device.multiprocessors;
}

cudaError_t launch_conv_proj_prepared(const pm_conv_proj_params& params, const CrossArgs& scan,
                                      const Prepared& to, const Device& device,
                                      cudaStream_t stream) {
  const int frames = frames_of_block(params, device);
  // The shortest runs with which no thread has two.
  const auto fits = [&](int length) {
    return (frames * params.joints + length - 1) / length * (params.channels / 8) <= kThreads;
  };
  if (params.channels == 128) {
    return fits(1) ? run<128, 1>(params, scan, to, frames, device, stream)
                   : run<128, 2>(params, scan, to, frames, device, stream);
  }
  if (params.channels == 256) {
    return fits(2) ? run<256, 2>(params, scan, to, frames, device, stream)
                   : run<256, 3>(params, scan, to, frames, device, stream);
  }
  if (params.channels == 512) return run<512, 3>(params, scan, to, frames, device, stream);
  return cudaErrorNotSupported;
}

}  // namespace posemamba::cuda
