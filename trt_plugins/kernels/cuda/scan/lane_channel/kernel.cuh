// Lane-channel design of CrossSelectiveScan, for batches: a lane holds all 16 states of a channel,
// or two lanes half of them each, projects its own dt and writes its own outputs. No warp only
// converts and nothing but B, C and the dt inputs is shared, so an exponential costs 7 to 8 issue
// slots where there are enough channels to give every scheduler two warps.
#pragma once

#include "cuda/scan/lane_channel/gather.cuh"

namespace posemamba::cuda::lane_channel {

// Where a thread's lane is among those that share its channel, and the channel in the block. Lanes
// of equal states are neighbours, so that their reads share an address.
template <class C>
struct Share {
  int lane;
  int channel;

  __device__ __forceinline__ Share() {
    const int thread = static_cast<int>(threadIdx.x);
    lane = thread % 32 / C::kGroup;
    channel = thread / 32 * C::kGroup + thread % C::kGroup;
  }
};

// Registers of a scan lane.
template <class C>
struct Lane {
  using T = typename C::T;

  float a[C::kStates];  // A * log2(e)
  float h[C::kStates];
  float weight[C::kRank];
  float bias;
  int first;  // of its states is kStates * first

  // `channel` is clamped to d_inner: a lane without a channel repeats the last one.
  __device__ __forceinline__ void start(const CrossArgs& args, int direction, int channel,
                                        int lane) {
    const int64_t row = int64_t{direction} * args.d_inner + channel;
    first = lane;
    bias = __ldg(args.dt_bias + row);
#pragma unroll
    for (int r = 0; r < C::kRank; ++r) weight[r] = __ldg(args.dt_weight + row * C::kRank + r);
#pragma unroll
    for (int n = 0; n < C::kStates; ++n) {
      a[n] = __ldg(args.A + row * kOnePassStates + lane * C::kStates + n) * kLog2e;
      h[n] = 0.0f;
    }
  }

  // dt of one step whose inputs start at `raw`.
  __device__ __forceinline__ float project(const float* raw) const {
    float v = bias;
#pragma unroll
    for (int r = 0; r < C::kRank; r += 4) {
      const float4 in = *reinterpret_cast<const float4*>(raw + r);
      v = fmaf(in.x, weight[r], v);
      v = fmaf(in.y, weight[r + 1], v);
      v = fmaf(in.z, weight[r + 2], v);
      v = fmaf(in.w, weight[r + 3], v);
    }
    return softplus_for<T>(v);
  }

  // dt and dt * u of a body's steps, whose rows start at `rows` and `x`. Of kLanes steps each lane
  // makes one and gets the others.
  __device__ __forceinline__ void inputs(const float* rows, const T* x, float (&dt)[C::kUnroll],
                                         float (&du)[C::kUnroll]) const {
#pragma unroll
    for (int j = 0; j < C::kUnroll; j += C::kLanes) {
      const int own = j + first;
      const float d = project(rows + own * C::kRow + 2 * kOnePassStates);
      const float g = d * C::value(x[own * C::kChannels]);
      if constexpr (C::kLanes == 1) {
        dt[j] = d, du[j] = g;
      } else {
        const int lane = static_cast<int>(threadIdx.x) % C::kGroup;
#pragma unroll
        for (int i = 0; i < C::kLanes; ++i) {
          dt[j + i] = __shfl_sync(~0u, d, lane + i * C::kGroup);
          du[j + i] = __shfl_sync(~0u, g, lane + i * C::kGroup);
        }
      }
    }
  }

  // Scans one step and returns the lane's part of its output. A row's reads serve all lanes of
  // equal states at once.
  __device__ __forceinline__ float step(const float* row, float dt, float du) {
    const float* states = row + first * C::kStates;
    float y = 0.0f;
#pragma unroll
    for (int n = 0; n < C::kStates; n += 4) {
      const float4 b4 = *reinterpret_cast<const float4*>(states + n);
      const float4 c4 = *reinterpret_cast<const float4*>(states + kOnePassStates + n);
      const float b[4] = {b4.x, b4.y, b4.z, b4.w};
      const float c[4] = {c4.x, c4.y, c4.z, c4.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        h[n + i] = fmaf(exp2_fast(dt * a[n + i]), h[n + i], du * b[i]);
        y = n + i == 0 ? h[0] * c[0] : fmaf(h[n + i], c[i], y);
      }
    }
    return y;
  }

  // A body. Of every kLanes steps the lane gets the output of its own, out[step / kLanes].
  __device__ __forceinline__ void scan(const float* rows, const T* x,
                                       float (&out)[C::kUnroll / C::kLanes]) {
    float dt[C::kUnroll];
    float du[C::kUnroll];
    inputs(rows, x, dt, du);
#pragma unroll
    for (int j = 0; j < C::kUnroll; j += C::kLanes) {
      float y[C::kLanes];
#pragma unroll
      for (int i = 0; i < C::kLanes; ++i) {
        y[i] = step(rows + (j + i) * C::kRow, dt[j + i], du[j + i]);
      }
      if constexpr (C::kLanes == 1) {
        out[j] = y[0];
      } else {
        static_assert(C::kLanes == 2, "one exchange");
        out[j / 2] =
            (first != 0 ? y[1] : y[0]) + __shfl_xor_sync(~0u, first != 0 ? y[0] : y[1], C::kGroup);
      }
    }
  }
};

// At its beginning a tile is complete, what has come in of the next during the tile before is put
// in place, and the one after next starts to come, x straight to shared memory, x_dbl through
// registers. A thread arrives for its share of a tile one tile early, so warps may drift a tile
// apart. Behind the wait at its beginning nobody reads the tile before the last any more: four
// stages of x hold what others may still read, what is read, what is complete and what comes in.
//
// kUsual: d_inner is 32 dt ranks, as in every PoseMamba, so that stores have constant distances.
template <class C, bool kUsual>
__device__ __forceinline__ void run(const CrossArgs& a, Shared<C>& shared, int batch, int direction,
                                    int first) {
  using T = typename C::T;
  const int64_t row = int64_t{batch} * a.directions + direction;
  const int tiles = (a.steps + C::kTile - 1) / C::kTile;
  Lane<C> lane;
  const Share<C> own;
  const bool owned = first + own.channel < a.d_inner;
  lane.start(a, direction, min(first + own.channel, a.d_inner - 1), own.lane);
  Gather<C> gather(a, batch, direction, first, shared);
  dependency_wait();  // x and x_dbl come from earlier launches
  dependency_release();
  gather.start(shared.tile(0));
  gather.finish(shared.tile(0));
  barrier_arrive(shared.ready);
  if (tiles > 1) gather.start(shared.tile(1));
  const int64_t stride = kUsual ? 32 * C::kRank : a.d_inner;
  T* y = static_cast<T*>(a.partial) + (row * a.steps + own.lane) * stride + first + own.channel;
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) {
    barrier_wait(shared.ready + t % 2, t / 2 % 2);
    if (t + 1 < tiles) {
      gather.finish(shared.tile(t + 1));
      barrier_arrive(shared.ready + (t + 1) % 2);
    }
    if (t + 2 < tiles) gather.start(shared.tile(t + 2));
    const Tile<C> tile = shared.tile(t);
    const float* rows = tile.rows;
    const T* x = tile.x + own.channel;
    const int left = min(C::kTile, a.steps - t * C::kTile);
#pragma unroll 1
    for (int t0 = 0; t0 < left; t0 += C::kUnroll) {
      float out[C::kUnroll / C::kLanes];
      lane.scan(rows, x, out);
#pragma unroll
      for (int j = 0; j < C::kUnroll; j += C::kLanes, y += C::kLanes * stride) {
        if (owned && t0 + j + own.lane < left) Io<T>::store(y, out[j / C::kLanes]);
      }
      rows += C::kUnroll * C::kRow;
      x += C::kUnroll * C::kChannels;
    }
  }
}

template <class C, bool kUsual>
__global__ void __launch_bounds__(C::kThreads, C::kMinBlocks)
    lane_channel_kernel(const __grid_constant__ CrossArgs a) {
  Shared<C>& shared = *reinterpret_cast<Shared<C>*>(dynamic_shared());
  // A direction with a limb sum takes longer. Its blocks come first, so that an SM which holds two
  // blocks gets one of each kind.
  const int of_direction = static_cast<int>(gridDim.x) / a.directions;
  const int direction = a.masked_first[static_cast<int>(blockIdx.x) / of_direction];
  const int block = static_cast<int>(blockIdx.x) % of_direction;
  const int first = block % a.blocks_per_row * C::kChannels;
  const int batch = block / a.blocks_per_row;
  if (threadIdx.x < PM_MAX_JOINTS) shared.limb[threadIdx.x] = a.limb_index[threadIdx.x];
  if (threadIdx.x < 2) barrier_init(shared.ready + threadIdx.x, C::kThreads);
  __syncthreads();  // the barriers and the limb table are ready
  run<C, kUsual>(a, shared, batch, direction, first);
}

}  // namespace posemamba::cuda::lane_channel
