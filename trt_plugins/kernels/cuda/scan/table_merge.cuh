// Sum of the outputs of every step that visits a position, plus the skip terms D * u of those
// steps. Version 2 of merge.cuh.
#pragma once

#include "cuda/scan/merge.cuh"

namespace posemamba::cuda {

constexpr int kTableMergeLanes = 64;      // threads across channels, at most
constexpr int kTableMergePositions = 64;  // of a block, at most

// A visit of a position by a direction.
struct TableVisit {
  int step;  // kNoStep: there is none
  int limb;  // -1: none
  int next;  // the next step of the direction that visits the same position, -1: none
};

struct TableMergeShared {
  TableVisit first[PM_MAX_DIRECTIONS][kTableMergePositions];
  alignas(16) float skip[PM_MAX_DIRECTIONS][kTableMergeLanes * 8];
};

// A block owns a.merge_positions positions of one batch item (blockIdx.y), a thread 16 bytes of
// channels of every blockDim.y-th of them. What the tables say of the block's positions is found
// once, so that a position's reads are all in flight together. Sums run over k, then over the
// steps, ascending: every launch gives the same bits.
template <typename T>
class TableMerge {
 public:
  static constexpr int kChannels = Word<T>::kChannels;

  __device__ __forceinline__ TableMerge(const TableArgs& args, TableMergeShared& shared)
      : a_(args),
        shared_(shared),
        thread_(static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x)),
        threads_(static_cast<int>(blockDim.x * blockDim.y)),
        lane_(static_cast<int>(threadIdx.x)),
        first_(static_cast<int>(blockIdx.x) * args.merge_positions),
        plane_(int64_t{args.steps} * args.d_inner) {
    const int64_t batch = blockIdx.y;
    x_ = static_cast<const T*>(args.x) + batch * args.positions * args.x_stride;
    y_ = static_cast<T*>(args.y) + batch * args.positions * args.y_stride;
    partial_ = static_cast<const T*>(args.partial) + batch * args.directions * plane_;
  }

  // D of `width` channels from channel0 on.
  __device__ __forceinline__ void share_skip(int channel0, int width) {
    for (int i = thread_; i < a_.directions * width; i += threads_) {
      const int k = i / width, c = i - k * width;
      const bool real = channel0 + c < a_.d_inner;
      shared_.skip[k][c] = real ? __ldg(a_.D + int64_t{k} * a_.d_inner + channel0 + c) : 0.0f;
    }
  }

  __device__ __forceinline__ void find_visits() {
    for (int i = thread_; i < a_.directions * a_.merge_positions; i += threads_) {
      const int k = i / a_.merge_positions, p = i - k * a_.merge_positions;
      const int position = first_ + p;
      const int step = position < a_.positions
                           ? __ldcg(a_.first + int64_t{k} * a_.positions + position)
                           : kNoStep;
      shared_.first[k][p] = step == kNoStep ? TableVisit{kNoStep, -1, -1} : visit(k, step);
    }
  }

  __device__ __forceinline__ void run(int channel) {
    channel_ = channel;
#pragma unroll 1
    for (int p = static_cast<int>(threadIdx.y); p < a_.merge_positions;
         p += static_cast<int>(blockDim.y)) {
      if (first_ + p < a_.positions) merge(p);
    }
  }

 private:
  static constexpr int kAhead = 4;  // directions whose reads are in flight at once

  __device__ __forceinline__ TableVisit visit(int k, int step) const {
    const int64_t at = int64_t{k} * a_.steps + step;
    const int limb = a_.neighbour_index == nullptr ? -1 : __ldg(a_.neighbour_index + at);
    const bool real = static_cast<unsigned>(limb) < static_cast<unsigned>(a_.positions);
    return {step, real ? limb : -1, __ldcg(a_.next + at)};
  }

  __device__ __forceinline__ uint4 input(int position) const {
    const T* from = x_ + position * a_.x_stride + channel_;
    if (a_.words_aligned) return __ldg(reinterpret_cast<const uint4*>(from));
    alignas(16) T to[kChannels];
#pragma unroll
    for (int i = 0; i < kChannels; ++i) to[i] = from[i];
    return *reinterpret_cast<const uint4*>(to);
  }
  // Read once and then dead: out of the caches first.
  __device__ __forceinline__ uint4 output(int k, int step) const {
    return __ldcs(reinterpret_cast<const uint4*>(partial_ + k * plane_ +
                                                 int64_t{step} * a_.d_inner + channel_));
  }

  __device__ __forceinline__ void merge(int p) {
    const uint4 own = input(first_ + p);
#pragma unroll
    for (int c = 0; c < kChannels; ++c) sum_.v[c] = 0.0f;
#pragma unroll 1
    for (int k = 0; k < a_.directions; k += kAhead) {
      TableVisit visits[kAhead];
      uint4 part[kAhead];
      uint4 limb[kAhead];
#pragma unroll
      for (int q = 0; q < kAhead; ++q) {
        visits[q] = k + q < a_.directions ? shared_.first[k + q][p] : TableVisit{kNoStep, -1, -1};
        if (visits[q].step != kNoStep) part[q] = output(k + q, visits[q].step);
        if (visits[q].limb >= 0) limb[q] = input(visits[q].limb);
      }
#pragma unroll
      for (int q = 0; q < kAhead; ++q) {
        if (visits[q].step == kNoStep) continue;
        add(k + q, part[q], own, visits[q].limb >= 0, limb[q]);
#pragma unroll 1
        for (int next = visits[q].next; next >= 0;) {
          const TableVisit again = visit(k + q, next);
          const uint4 more = output(k + q, next);
          if (again.limb >= 0) limb[q] = input(again.limb);
          add(k + q, more, own, again.limb >= 0, limb[q]);
          next = again.next;
        }
      }
    }
    sum_.store(y_ + (first_ + p) * a_.y_stride + channel_, a_.words_aligned);
  }

  __device__ __forceinline__ void add(int k, uint4 part, uint4 own, bool joined, uint4 limb) {
    Word<T> u{};
    u.add(own);
    if (joined) u.add(limb);
    sum_.add(part);
    const float* skip = shared_.skip[k] + lane_ * kChannels;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) sum_.v[c] = fmaf(skip[c], u.v[c], sum_.v[c]);
  }

  const TableArgs& a_;
  TableMergeShared& shared_;
  int thread_;
  int threads_;
  int lane_;
  int first_;      // position of the block
  int64_t plane_;  // elements of a direction's outputs
  int channel_ = 0;
  const T* x_;
  T* y_;
  const T* partial_;
  Word<T> sum_;
};

template <typename T>
__global__ void __launch_bounds__(kMergeThreads, sizeof(T) == 2 ? 2 : 3)
    table_merge_kernel(const __grid_constant__ TableArgs a) {
  __shared__ TableMergeShared shared;
  TableMerge<T> merge(a, shared);
  constexpr int kChannels = TableMerge<T>::kChannels;
  const int width = static_cast<int>(blockDim.x) * kChannels;
  for (int channel0 = 0; channel0 < a.d_inner; channel0 += width) {
    if (channel0 > 0) __syncthreads();  // nobody reads the previous channels' D any more
    merge.share_skip(channel0, width);
    if (channel0 == 0) {
      dependency_wait();  // the outputs and the links come from the previous launches
      merge.find_visits();
    }
    __syncthreads();
    const int channel = channel0 + static_cast<int>(threadIdx.x) * kChannels;
    if (channel < a.d_inner) merge.run(channel);
  }
}

}  // namespace posemamba::cuda
