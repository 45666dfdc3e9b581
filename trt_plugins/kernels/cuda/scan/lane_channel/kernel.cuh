// Lane-channel design of CrossSelectiveScan, for batches: a lane holds all 16 states of a channel,
// projects its own dt and writes its own outputs. No warp only converts and nothing but B, C and
// the dt inputs is shared, so an exponential costs 7 to 8 issue slots where there are enough
// channels to give every scheduler two warps.
#pragma once

#include "cuda/scan/lane_channel/gather.cuh"

namespace posemamba::cuda::lane_channel {

// Registers of a scan lane.
template <class C>
struct Lane {
  float a[kOnePassStates];  // A * log2(e)
  float h[kOnePassStates];
  float weight[C::kRank];
  float bias;

  // `channel` is clamped to d_inner: a lane without a channel repeats the last one.
  __device__ __forceinline__ void start(const CrossArgs& args, int direction, int channel) {
    const int64_t row = int64_t{direction} * args.d_inner + channel;
    bias = __ldg(args.dt_bias + row);
#pragma unroll
    for (int r = 0; r < C::kRank; ++r) weight[r] = __ldg(args.dt_weight + row * C::kRank + r);
#pragma unroll
    for (int n = 0; n < kOnePassStates; ++n) {
      a[n] = __ldg(args.A + row * kOnePassStates + n) * kLog2e;
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
    return softplus_for<typename C::T>(v);
  }

  // Scans one step and returns its output. The row's reads serve the whole warp at once.
  __device__ __forceinline__ float step(const float* row, float u) {
    const float dt = project(row + 2 * kOnePassStates);
    const float du = dt * u;
    float y = 0.0f;
#pragma unroll
    for (int n = 0; n < kOnePassStates; n += 4) {
      const float4 b4 = *reinterpret_cast<const float4*>(row + n);
      const float4 c4 = *reinterpret_cast<const float4*>(row + kOnePassStates + n);
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
};

// While a tile is scanned the rows of the one after next come in, those of x straight to shared
// memory, those of x_dbl through registers. A thread arrives at the end of tile t for its share of
// tile t + 2 and waits for the others' when it begins that tile, so warps may drift a tile apart.
// Behind that wait nobody reads tile t any more: four stages hold what others may still read, what
// is read, what is complete and what comes in.
template <class C, bool kMasked>
__device__ __forceinline__ void run(const CrossArgs& a, Shared<C>& shared, int batch, int direction,
                                    int first) {
  using T = typename C::T;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t row = int64_t{batch} * a.directions + direction;
  const int tiles = (a.steps + C::kTile - 1) / C::kTile;
  Gather<C, kMasked> gather(a, batch, direction, first, shared);
  gather.start(shared.stages[0]);
  Lane<C> lane;
  const bool owned = first + thread < a.d_inner;
  lane.start(a, direction, min(first + thread, a.d_inner - 1));
  gather.finish(shared.stages[0]);
  barrier_arrive(shared.ready);
  if (tiles > 1) {
    gather.start(shared.stages[1]);
    gather.finish(shared.stages[1]);
    barrier_arrive(shared.ready + 1);
  }
  T* y = static_cast<T*>(a.partial) + row * a.steps * a.d_inner + first + thread;
  const int64_t stride = a.d_inner;
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) {
    const Stage<C>& stage = shared.stages[t % C::kStages];
    Stage<C>& coming = shared.stages[(t + 2) % C::kStages];
    const bool more = t + 2 < tiles;
    const int left = min(C::kTile, a.steps - t * C::kTile);
    barrier_wait(shared.ready + t % 2, t / 2 % 2);
    if (more) gather.start(coming);
    const float* rows = stage.rows;
    const T* x = stage.x + thread;
#pragma unroll 1
    for (int t0 = 0; t0 < left; t0 += C::kUnroll) {
      if (more && t0 == C::kTile - C::kUnroll) gather.finish(coming);
      float out[C::kUnroll];
#pragma unroll
      for (int j = 0; j < C::kUnroll; ++j) {
        out[j] = lane.step(rows + j * C::kRow, C::value(x[j * C::kChannels]));
      }
#pragma unroll
      for (int j = 0; j < C::kUnroll; ++j, y += stride) {
        if (owned && t0 + j < left) Io<T>::store(y, out[j]);
      }
      rows += C::kUnroll * C::kRow;
      x += C::kUnroll * C::kChannels;
    }
    if (more) barrier_arrive(shared.ready + t % 2);
  }
}

template <class C>
__global__ void __launch_bounds__(C::kThreads, C::kMinBlocks)
    lane_channel_kernel(const __grid_constant__ CrossArgs a) {
  extern __shared__ __align__(16) unsigned char memory[];
  Shared<C>& shared = *reinterpret_cast<Shared<C>*>(memory);
  // A direction with a limb sum takes longer. Its blocks come first, so that an SM which holds two
  // blocks gets one of each kind.
  const int of_direction = static_cast<int>(gridDim.x) / a.directions;
  const int direction = a.masked_first[static_cast<int>(blockIdx.x) / of_direction];
  const int block = static_cast<int>(blockIdx.x) % of_direction;
  const int first = block % a.blocks_per_row * C::kChannels;
  const int batch = block / a.blocks_per_row;
  if (threadIdx.x < PM_MAX_JOINTS) shared.limb[threadIdx.x] = a.limb_index[threadIdx.x];
  if (threadIdx.x < 2) barrier_init(shared.ready + threadIdx.x, C::kThreads);
  dependency_wait();  // x and x_dbl come from earlier launches
  __syncthreads();    // the barriers and the limb table are ready
  dependency_release();
  if (a.limb_mask[direction] != 0) {
    run<C, true>(a, shared, batch, direction, first);
  } else {
    run<C, false>(a, shared, batch, direction, first);
  }
}

}  // namespace posemamba::cuda::lane_channel
