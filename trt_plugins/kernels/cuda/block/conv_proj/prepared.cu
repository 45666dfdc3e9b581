// A thread block owns whole frames, so that limb sums stay inside, and writes what the
// split-channel scan reads: no x_dbl, and no kernel between. For grids that give each
// multiprocessor one block, where a launch and its latency count.
#include <algorithm>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/conv_proj/frames.cuh"
#include "cuda/block/conv_proj/taps.cuh"
#include "cuda/device/mma.cuh"

namespace posemamba::cuda {
namespace {

using split_channel::kPanel;
using split_channel::Prepared;

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kStates = 16;         // of the scan; B and C are twice as many floats a step
constexpr int kSums = 2 * kStates;  // of them

// Rows of products are 8 floats, modulo the 32 banks, apart: four steps by eight columns hit all.
__host__ __device__ constexpr int product_stride(int columns) {
  return (columns + 31) / 32 * 32 + 8;
}

// Followed by the products: kFrameRows rows of product_stride(columns) floats.
template <int Channels>
struct Shared {
  static constexpr int kStride = Channels + kRowPad;  // halves of a row

  alignas(16) __half rows[kFrameRows * kStride];
  Visit visits[PM_MAX_DIRECTIONS][kFrameRows];  // of the walks
  unsigned char limb[PM_MAX_JOINTS];

  static constexpr std::size_t bytes(int columns) {
    return sizeof(Shared) +
           static_cast<std::size_t>(kFrameRows * product_stride(columns)) * sizeof(float);
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
      *reinterpret_cast<uint4*>(u + int64_t{position + i} * Channels) = bits;
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

// The walks' panels of u. Neighbouring lanes are neighbouring steps of a panel.
template <int Channels>
__device__ __forceinline__ void write_panels(const Shared<Channels>& shared, const CrossArgs& c,
                                             const Prepared& to, const Frames& own) {
  constexpr int kPanels = Channels / kPanel;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 1
  for (int walk = 0; walk < to.walks; ++walk) {
    const bool masked = c.limb_mask[to.first[walk]] != 0;
    __half* u = to.u + (own.item * to.walks + walk) * kPanels * to.steps4 * kPanel;
    for (int index = lane; index < own.rows; index += 32) {
      const Visit visit = shared.visits[walk][index];
#pragma unroll 2
      for (int panel = warp; panel < kPanels; panel += kWarps) {
        const __half* from = shared.rows + panel * kPanel;
        uint4 bits = *reinterpret_cast<const uint4*>(from + visit.row * Shared<Channels>::kStride);
        if (masked) {
          bits = sum_halves(bits, *reinterpret_cast<const uint4*>(
                                      from + visit.other * Shared<Channels>::kStride));
        }
        *reinterpret_cast<uint4*>(u + (int64_t{panel} * to.steps4 + visit.step) * kPanel) = bits;
      }
    }
  }
}

// The products of all directions, to shared memory: tiles of 16 rows by 16 columns, dealt out.
template <int Channels>
struct Projection {
  using Product = WarpProduct<Channels, 1, 1, 8>;
  Product product;

  __device__ __forceinline__ void prime(const pm_conv_proj_params& a, int warp, int lane) {
    product.prime(a.projection, warp % (a.columns / 16), lane);
  }
  __device__ __forceinline__ void run(const Shared<Channels>& shared, float* products,
                                      const pm_conv_proj_params& a, int rows, int warp, int lane) {
    const int across = a.columns / 16;
    const int tiles = (rows + 15) / 16 * across;
    const int stride = product_stride(a.columns);
#pragma unroll 1
    for (int tile = warp; tile < tiles; tile += kWarps) {
      if (tile != warp) product.prime(a.projection, tile % across, lane);
      product.run(shared.rows, Shared<Channels>::kStride, tile / across * 16, lane);
      product.each(tile / across * 16, lane, [&](int row, int column, float2 v) {
        *reinterpret_cast<float2*>(products + row * stride + tile % across * 16 + column) = v;
      });
    }
  }
};

// B, C and dt inputs of one direction, limb summed. Four neighbouring steps and eight states make a
// warp's store: 128 contiguous bytes where the steps are a whole group of four.
__device__ __forceinline__ void write_rows(const float* products, int stride, const Visit* visits,
                                           const CrossArgs& c, const Prepared& to,
                                           const Frames& own, int k) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const bool masked = c.limb_mask[k] != 0;
  const bool backwards = c.reverse[k] != 0;
  const int rank = c.dt_rank;
  const int64_t row = own.item * c.directions + k;
  float* bc = to.bc + row * to.steps4 * kSums;
  float* raw = to.raw + row * to.steps4 * rank;
  products += k * (rank + kSums);
  const auto value = [&](const Visit& visit, int column) {
    const float v = products[visit.row * stride + column];
    return masked ? v + products[visit.other * stride + column] : v;
  };
  const auto step_of = [&](const Visit& visit) {
    return backwards ? c.steps - 1 - visit.step : visit.step;
  };
  // Where steps are contiguous, four visits are a group of four steps.
  const int start = step_of(visits[0]) % 4;
  const int skip = backwards ? 3 - start : start;
  const int groups = (own.rows + skip + 3) / 4;
  for (int i = warp; i < groups * (kSums / 8); i += kWarps) {
    const int index = i / (kSums / 8) * 4 + lane % 4 - skip;
    if (index < 0 || index >= own.rows) continue;
    const int state = i % (kSums / 8) * 8 + lane / 4;
    const Visit visit = visits[index];
    const int step = step_of(visit);
    bc[step / 4 * 4 * kSums + state * 4 + step % 4] = value(visit, rank + state);
  }
  for (int i = static_cast<int>(threadIdx.x); i < own.rows * rank; i += kThreads) {
    const Visit visit = visits[i / rank];
    raw[step_of(visit) * rank + i % rank] = value(visit, i % rank);
  }
}

// A block owns `frames` frames of one batch item, at most kFrameRows rows. 16 warps and 128
// registers: one block an SM.
template <int Channels, int Run>
__global__ void __launch_bounds__(kThreads, 1)
    conv_proj_prepared_kernel(const __grid_constant__ pm_conv_proj_params a,
                              const __grid_constant__ CrossArgs c,
                              const __grid_constant__ Prepared to, int frames) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<Channels>*>(memory);
  auto* products = reinterpret_cast<float*>(memory + sizeof(Shared<Channels>));
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int first_frame = static_cast<int>(blockIdx.x) * frames;
  const int mine = min(frames, c.frames - first_frame);
  const Frames own{blockIdx.y, first_frame * c.joints, mine * c.joints};
  Projection<Channels> projection;
  projection.prime(a, warp, lane);  // weights come from no launch, and arrive meanwhile
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  __syncthreads();  // the limb table is complete
  for (int i = thread; i < to.walks * own.rows; i += kThreads) {
    const int walk = i / own.rows;
    shared.visits[walk][i % own.rows] =
        visit_of(c, c.order[to.first[walk]], first_frame, mine, i % own.rows, shared.limb);
  }
  dependency_wait();  // x comes from the previous launch
  dependency_release();
  convolve<Channels, Run>(shared, a, own);
  __syncthreads();  // rows and visits are complete
  projection.run(shared, products, a, own.rows, warp, lane);
  write_panels<Channels>(shared, c, to, own);
  __syncthreads();  // the products are complete
  const int stride = product_stride(a.columns);
#pragma unroll 1
  for (int k = 0; k < c.directions; ++k) {
    write_rows(products, stride, shared.visits[to.walk[k]], c, to, own, k);
  }
  // The scan copies B and C in groups of four steps, and uses none past the end.
  if (first_frame + mine < c.frames) return;
  const int pad = (to.steps4 - c.steps) * kSums;
  for (int i = thread; i < pad * c.directions; i += kThreads) {
    const int step = c.steps + i % pad / kSums;
    to.bc[(own.item * c.directions + i / pad) * to.steps4 * kSums + step / 4 * 4 * kSums +
          i % kSums * 4 + step % 4] = 0.0f;
  }
}

template <int Channels, int Run>
cudaError_t run(const pm_conv_proj_params& params, const CrossArgs& scan, const Prepared& to,
                int frames, const Device& device, cudaStream_t stream) {
  pm_conv_proj_params copy = params;
  CrossArgs args_of_scan = scan;
  Prepared prepared = to;
  void* args[] = {&copy, &args_of_scan, &prepared, &frames};
  const dim3 grid(static_cast<unsigned>((params.frames + frames - 1) / frames),
                  static_cast<unsigned>(params.batch));
  return launch(reinterpret_cast<const void*>(&conv_proj_prepared_kernel<Channels, Run>), grid,
                dim3(kThreads), args, true, device, stream,
                Shared<Channels>::bytes(params.columns));
}

// Frames of a thread block: as few as leave a block for no multiprocessor twice. 0: none do.
int frames_of_block(const pm_conv_proj_params& p, const Device& device) {
  const int64_t blocks = device.multiprocessors / p.batch;  // of an item
  if (blocks == 0) return 0;
  const int64_t frames = (p.frames + blocks - 1) / blocks;
  return frames * p.joints <= kFrameRows ? static_cast<int>(frames) : 0;
}

}  // namespace

bool conv_proj_prepares(const pm_conv_proj_params& params, const Device& device) {
  return frames_of_block(params, device) > 0;
}

cudaError_t launch_conv_proj_prepared(const pm_conv_proj_params& params, const CrossArgs& scan,
                                      const Prepared& to, const Device& device,
                                      cudaStream_t stream) {
  const int frames = frames_of_block(params, device);
  if (params.channels == 128) return run<128, 2>(params, scan, to, frames, device, stream);
  if (params.channels == 256) return run<256, 3>(params, scan, to, frames, device, stream);
  if (params.channels == 512) return run<512, 3>(params, scan, to, frames, device, stream);
  return cudaErrorNotSupported;
}

}  // namespace posemamba::cuda
