// CrossSelectiveScan, version 2: the kernel of one direction, and the sum over directions.
//
// A block walks a direction of a batch item for some channels. What it writes is its own: it adds
// to the positions of its table in the order of the steps, so that repeats need no atomics and
// every launch gives the same bits.
#pragma once

#include "cuda/scan/lane_group.cuh"

namespace posemamba::cuda::indexed {

struct Args {
  const void* x;
  const void* x_dbl;
  const float* dt_weight;
  const float* dt_bias;
  const float* A;
  const float* D;
  const int32_t* scan_index;
  const int32_t* neighbour_index;
  const int32_t* reset_length;
  void* y;
  float* partial;  // [batch * directions][positions][d_inner], zero before the scan
  int64_t x_stride;
  int64_t x_dbl_stride;
  int64_t y_stride;
  int positions;
  int steps;
  int d_inner;
  int d_state;
  int dt_rank;
  int directions;
  int blocks_per_row;
  int64_t outputs;  // elements of y
};

// A tile in shared memory; rows [kTile][dt_rank + 2 kStates] and weights [dt_rank][kChannels]
// follow it.
template <class Group>
struct Tile {
  int position[Group::kTile];   // -1: idle, or beyond the last step
  int limb[Group::kTile];       // -1: none
  unsigned same[Group::kTile];  // the steps of the tile with the same position
  bool reset[Group::kTile];
  bool wrong[Group::kTile];  // an index beyond the positions
  float dt[Group::kTile][Group::kChannels];
  float du[Group::kTile][Group::kChannels];
  float y[Group::kTile][Group::kChannels];
};

template <class Group>
__host__ __device__ constexpr int row_floats(int dt_rank) {
  return dt_rank + 2 * Group::kStates;
}

template <class Group>
constexpr std::size_t shared_bytes(int dt_rank) {
  return sizeof(Tile<Group>) +
         sizeof(float) * static_cast<std::size_t>(Group::kTile * row_floats<Group>(dt_rank) +
                                                  Group::kChannels * dt_rank);
}

template <class Group, typename T>
class Direction {
 public:
  __device__ __forceinline__ Direction(const Args& args, int row, int first, unsigned char* shared)
      : a_(args), first_(first) {
    k_ = row % args.directions;
    width_ = args.dt_rank + 2 * args.d_state;
    stride_ = row_floats<Group>(args.dt_rank);
    tile_ = reinterpret_cast<Tile<Group>*>(shared);
    rows_ = reinterpret_cast<float*>(shared + sizeof(Tile<Group>));
    weight_ = rows_ + Group::kTile * stride_;
    const int64_t item = int64_t{row / args.directions} * args.positions;
    x_ = static_cast<const T*>(args.x) + item * args.x_stride;
    x_dbl_ = static_cast<const T*>(args.x_dbl) + item * args.x_dbl_stride + k_ * width_;
    partial_ = args.partial + int64_t{row} * args.positions * args.d_inner;
    reset_ = args.reset_length == nullptr ? 0 : args.reset_length[k_];
    thread_ = static_cast<int>(threadIdx.x);
    for (int i = thread_; i < Group::kTile * stride_; i += kGroupThreads) rows_[i] = 0.0f;
    for (int i = thread_; i < Group::kChannels * args.dt_rank; i += kGroupThreads) {
      const int c = first + i % Group::kChannels, r = i / Group::kChannels;
      weight_[i] = c < args.d_inner
                       ? args.dt_weight[(int64_t{k_} * args.d_inner + c) * args.dt_rank + r]
                       : 0.0f;
    }
    const int c = first + group_.channel;
    group_.begin(
        c < args.d_inner ? args.A + (int64_t{k_} * args.d_inner + c) * args.d_state : nullptr,
        args.d_state);
  }

  __device__ __forceinline__ void run() {
#pragma unroll 1
    for (int start = 0; start < a_.steps; start += Group::kTile) {
      __syncthreads();  // the last tile is written
      if (thread_ < 32) read_tables(start);
      __syncthreads();
      read_rows();
      __syncthreads();
      prepare();
      __syncthreads();
      scan(min(Group::kTile, a_.steps - start));
      __syncthreads();
      write();
    }
  }

 private:
  // One warp, a lane a step.
  __device__ __forceinline__ void read_tables(int start) {
    const int step = start + thread_;
    const bool real = thread_ < Group::kTile && step < a_.steps;
    const int64_t at = int64_t{k_} * a_.steps + step;
    int position = real ? a_.scan_index[at] : -1;
    int limb = real && a_.neighbour_index != nullptr ? a_.neighbour_index[at] : -1;
    const bool wrong = position >= a_.positions || (position >= 0 && limb >= a_.positions);
    if (position >= a_.positions) position = -1;
    if (limb >= a_.positions) limb = -1;
    const unsigned same = __match_any_sync(kAllLanes, position);
    if (thread_ >= Group::kTile) return;
    tile_->position[thread_] = position;
    tile_->limb[thread_] = limb;
    tile_->same[thread_] = same;
    tile_->reset[thread_] = reset_ > 0 && step % reset_ == 0;
    tile_->wrong[thread_] = wrong;
  }

  // x_dbl of every step in float32, a warp a step; B and C stand kStates apart. Loads of all of a
  // warp's steps are in flight at once.
  __device__ __forceinline__ void read_rows() {
    constexpr int kWarps = kGroupThreads / 32, kEach = Group::kTile / kWarps;
    for (int w = thread_ % 32; w < width_; w += 32) {
      const bool is_c = w >= a_.dt_rank + a_.d_state;
      const int to = w + (is_c ? Group::kStates - a_.d_state : 0);
      float v[kEach], added[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int t = thread_ / 32 + i * kWarps;
        const int position = tile_->position[t], limb = position < 0 ? -1 : tile_->limb[t];
        v[i] = position < 0 ? 0.0f : value(x_dbl_ + position * a_.x_dbl_stride + w);
        added[i] = limb < 0 ? 0.0f : value(x_dbl_ + limb * a_.x_dbl_stride + w);
      }
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        rows_[(thread_ / 32 + i * kWarps) * stride_ + to] = v[i] + added[i];
      }
    }
  }

  // What a thread looks after: kEach pairs of a step and a channel, of one channel all.
  static constexpr int kStride = kGroupThreads / Group::kChannels;  // steps between its pairs
  static constexpr int kEach = Group::kTile > kStride ? Group::kTile / kStride : 1;

  __device__ __forceinline__ int step_of(int i) const {
    return thread_ / Group::kChannels + i * kStride;
  }

  // dt, dt u and D u of every step and channel. An idle step's dt is 0, which keeps the state.
  __device__ __forceinline__ void prepare() {
    const int c = thread_ % Group::kChannels;
    const bool real = first_ + c < a_.d_inner;
    float u[kEach], added[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = step_of(i);
      const int position = real && t < Group::kTile ? tile_->position[t] : -1;
      const int limb = position < 0 ? -1 : tile_->limb[t];
      u[i] = position < 0 ? 0.0f : value(x_ + position * a_.x_stride + first_ + c);
      added[i] = limb < 0 ? 0.0f : value(x_ + limb * a_.x_stride + first_ + c);
    }
    const int64_t at = int64_t{k_} * a_.d_inner + first_ + c;
    const float bias = real ? __ldg(a_.dt_bias + at) : 0.0f;
    const float skip = real ? __ldg(a_.D + at) : 0.0f;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = step_of(i);
      if (t >= Group::kTile) continue;
      u[i] += added[i];
      float dt = 0.0f;
      for (int r = 0; r < a_.dt_rank; ++r) {
        dt = fmaf(weight_[r * Group::kChannels + c], rows_[t * stride_ + r], dt);
      }
      dt = real && tile_->position[t] >= 0 ? softplus(dt + bias) : 0.0f;
      const float nothing = __int_as_float(0x7fc00000);  // NaN: what there is not cannot be read
      tile_->dt[t][c] = dt;
      tile_->du[t][c] = tile_->wrong[t] ? nothing : dt * u[i];
      tile_->y[t][c] = skip * u[i];
    }
  }

  __device__ __forceinline__ void scan(int steps) {
#pragma unroll 4
    for (int t = 0; t < steps; ++t) {
      if (tile_->reset[t]) group_.reset();
      const float* b = rows_ + t * stride_ + a_.dt_rank;
      // B of a wrong step is zero, which NaN times makes NaN, too.
      const float y = group_.step(tile_->dt[t][group_.channel], tile_->du[t][group_.channel], b,
                                  b + Group::kStates);
      if (group_.lane == 0) tile_->y[t][group_.channel] += y;
    }
  }

  // The first step of a position adds what all steps of the tile give it, in their order.
  __device__ __forceinline__ void write() {
    const int c = thread_ % Group::kChannels;
    float* to[kEach];
    float sum[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int t = step_of(i);
      const int position = t < Group::kTile ? tile_->position[t] : -1;
      const bool first = position >= 0 && __ffs(static_cast<int>(tile_->same[t])) - 1 == t;
      to[i] = first && first_ + c < a_.d_inner
                  ? partial_ + int64_t{position} * a_.d_inner + first_ + c
                  : nullptr;
      sum[i] = to[i] == nullptr ? 0.0f : *to[i];
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (to[i] == nullptr) continue;
      for (unsigned same = tile_->same[step_of(i)]; same != 0; same &= same - 1) {
        sum[i] += tile_->y[__ffs(static_cast<int>(same)) - 1][c];
      }
      *to[i] = sum[i];
    }
  }

  __device__ __forceinline__ static float value(const T* from) {
    return Io<T>::value(Io<T>::load(from));
  }

  const Args& a_;
  Group group_;
  int first_;
  int k_;
  int width_;
  int stride_;
  int reset_;
  int thread_;
  Tile<Group>* tile_;
  float* rows_;
  float* weight_;
  const T* x_;
  const T* x_dbl_;
  float* partial_;
};

template <class Group, typename T>
__global__ void __launch_bounds__(kGroupThreads) scan_kernel(const __grid_constant__ Args a) {
  const int first = static_cast<int>(blockIdx.x) % a.blocks_per_row * Group::kChannels;
  const int row = static_cast<int>(blockIdx.x) / a.blocks_per_row;  // batch * directions + k
  Direction<Group, T>(a, row, first, dynamic_shared()).run();
}

template <typename T>
__global__ void __launch_bounds__(kGroupThreads) merge_kernel(const __grid_constant__ Args a) {
  const int64_t i = int64_t{blockIdx.x} * kGroupThreads + threadIdx.x;
  if (i >= a.outputs) return;
  const int64_t item_size = int64_t{a.positions} * a.d_inner;
  const int64_t item = i / item_size, inside = i % item_size;
  const float* from = a.partial + item * a.directions * item_size + inside;
  float sum = 0.0f;
  for (int k = 0; k < a.directions; ++k) sum += from[k * item_size];
  const int64_t row = item * a.positions + inside / a.d_inner;
  Io<T>::store(static_cast<T*>(a.y) + row * a.y_stride + inside % a.d_inner, sum);
}

}  // namespace posemamba::cuda::indexed
