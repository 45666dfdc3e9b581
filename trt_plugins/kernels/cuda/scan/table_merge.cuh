// Sum of the outputs of every step that visits a position, plus the skip terms D * u of those
// steps. Version 2 of merge.cuh.
#ifndef POSEMAMBA_KERNELS_CUDA_TABLE_MERGE_CUH_
#define POSEMAMBA_KERNELS_CUDA_TABLE_MERGE_CUH_

#include "cuda/scan/merge.cuh"

namespace posemamba::cuda {

// What a step gives to a position it visits, as it lies in memory.
struct Given {
  uint4 part;  // 16 bytes of channels
  int limb;    // -1: none
  int next;    // the next step to visit, -1: none
};

// A block owns blockDim.y positions of one batch item (blockIdx.y), a thread 16 bytes of channels
// of one of them. Sums run over k, then over the steps, ascending: every launch gives the same
// bits.
template <typename T>
class TableMerge {
 public:
  static constexpr int kChannels = Word<T>::kChannels;

  __device__ __forceinline__ TableMerge(const TableArgs& args, int position, int64_t batch)
      : a_(args), position_(position), plane_(int64_t{args.steps} * args.d_inner) {
    x_ = static_cast<const T*>(args.x) + batch * args.positions * args.x_stride;
    y_ = static_cast<T*>(args.y) + (batch * args.positions + position) * args.y_stride;
    partial_ = static_cast<const T*>(args.partial) + batch * args.directions * plane_;
  }

  __device__ __forceinline__ void run(int channel) {
    channel_ = channel;
    own_.load(x_ + position_ * a_.x_stride + channel, a_.words_aligned);
#pragma unroll
    for (int c = 0; c < kChannels; ++c) sum_.v[c] = 0.0f;
#pragma unroll 1
    for (int k = 0; k < a_.directions; k += kAhead) {
      int step[kAhead];
      Given given[kAhead];
#pragma unroll
      for (int q = 0; q < kAhead; ++q) {
        step[q] = k + q < a_.directions
                      ? __ldcg(a_.first + int64_t{k + q} * a_.positions + position_)
                      : kNoStep;
      }
#pragma unroll
      for (int q = 0; q < kAhead; ++q) {
        if (step[q] != kNoStep) given[q] = at(k + q, step[q]);
      }
#pragma unroll
      for (int q = 0; q < kAhead; ++q) {
        if (step[q] != kNoStep) add(k + q, given[q]);
      }
    }
    sum_.store(y_ + channel, a_.words_aligned);
  }

 private:
  static constexpr int kAhead = 4;  // directions whose reads are in flight at once

  __device__ __forceinline__ Given at(int k, int step) const {
    const int64_t row = int64_t{k} * a_.steps + step;
    // Read once and then dead: out of the caches first.
    return {__ldcs(reinterpret_cast<const uint4*>(partial_ + row * a_.d_inner + channel_)),
            a_.neighbour_index == nullptr ? -1 : __ldg(a_.neighbour_index + row),
            __ldcg(a_.next + row)};
  }

  // Of a direction, from the first step on.
  __device__ __forceinline__ void add(int k, Given given) {
    const float* d = a_.D + int64_t{k} * a_.d_inner + channel_;
    float skip[kChannels];
#pragma unroll
    for (int c = 0; c < kChannels; ++c) skip[c] = __ldg(d + c);
#pragma unroll 1
    while (true) {
      sum_.add(given.part);
      Word<T> u = own_;
      if (static_cast<unsigned>(given.limb) < static_cast<unsigned>(a_.positions)) {
        Word<T> other;
        other.load(x_ + given.limb * a_.x_stride + channel_, a_.words_aligned);
#pragma unroll
        for (int c = 0; c < kChannels; ++c) u.v[c] += other.v[c];
      }
#pragma unroll
      for (int c = 0; c < kChannels; ++c) sum_.v[c] = fmaf(skip[c], u.v[c], sum_.v[c]);
      if (given.next < 0) return;
      given = at(k, given.next);
    }
  }

  const TableArgs& a_;
  int position_;
  int64_t plane_;  // elements of a direction's outputs
  int channel_ = 0;
  const T* x_;
  T* y_;
  const T* partial_;
  Word<T> own_;
  Word<T> sum_;
};

template <typename T>
__global__ void __launch_bounds__(kMergeThreads)
    table_merge_kernel(const __grid_constant__ TableArgs a) {
  const int position = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
  dependency_wait();  // the outputs and the links come from the previous launches
  if (position >= a.positions) return;
  TableMerge<T> merge(a, position, blockIdx.y);
  constexpr int kChannels = TableMerge<T>::kChannels;
  for (int channel = static_cast<int>(threadIdx.x) * kChannels; channel < a.d_inner;
       channel += static_cast<int>(blockDim.x) * kChannels) {
    merge.run(channel);
  }
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_TABLE_MERGE_CUH_
