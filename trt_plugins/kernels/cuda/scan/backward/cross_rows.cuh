// CrossSelectiveScan: how a chunk of a direction comes into shared memory, and where its gradients
// go. Nothing is copied for each direction: x, x_dbl and dy are read where a step stands on the
// grid. What the directions give back is in the order of their steps; `merge.cuh` adds it up.
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/scan/backward/problem.cuh"
#include "cuda/scan/backward/staged.cuh"

namespace posemamba::cuda::backward {

// One direction of the walk over the grid (pm_order and its flags).
struct Walk {
  int order;
  int reverse;
  int limb_mask;
};

struct CrossArgs {
  Problem problem;  // its groups are the directions, its channels d_inner
  const void* x;
  const void* x_dbl;
  const void* dy;
  const float* dt_weight;
  const float* dt_bias;
  float* of_u;       // [batch * directions][steps][channels]
  float* of_dbl;     // [batch * directions][blocks_per_row][steps][rank + 2 d_state]
  float* of_weight;  // [batch * directions][chunks][channels][rank]
  int x_stride;
  int x_dbl_stride;
  int dy_stride;
  int frames;
  int joints;
  int rank;
  Walk walk[PM_MAX_DIRECTIONS];
  unsigned char limb_index[PM_MAX_JOINTS];
};

template <class S, typename T>
class CrossRows {
 public:
  using Args = CrossArgs;
  static constexpr bool kGated = false;

  __device__ __forceinline__ CrossRows(const CrossArgs& args, const Place& at, float* shared)
      : a_(args), p_(args.problem), l_(args.problem.layout), at_(at), shared_(shared) {
    // Not read again from shared memory after each write there.
    first_ = at.first, begin_ = at.begin;
    thread_ = thread_number();
    threads_ = at.warps * 32;
    channels_ = at.warps * S::kChannels;
    channel_ = thread_ % channels_;
    share_ = thread_ / channels_;
    width_ = args.rank + 2 * p_.d_state;
    position_ = reinterpret_cast<int*>(shared + l_.position);
    const int64_t item = int64_t{at.row / p_.groups} * p_.steps;
    x_ = static_cast<const T*>(args.x) + item * args.x_stride;
    dy_ = static_cast<const T*>(args.dy) + item * args.dy_stride;
    x_dbl_ = static_cast<const T*>(args.x_dbl) + item * args.x_dbl_stride + at.group * width_;
  }

  // Ends with a barrier. Steps past the end are inert: dt, u, dy, B and C are zero.
  __device__ __forceinline__ void load() {
    for (int s = thread_; s < kSteps; s += threads_) locate(s);
    load_weight();
    __syncthreads();
    if (a_.walk[at_.group].limb_mask) {
      load_inputs<true>();
    } else {
      load_inputs<false>();
    }
    __syncthreads();
    project();
    __syncthreads();
  }

  // Begins with what the gradient kernel left behind a barrier.
  __device__ __forceinline__ void store() const {
    const int64_t row_at = int64_t{at_.row} * p_.steps + begin_;
    if (has_channel()) {
      for (int s = share_; s < kSteps && real(s); s += kShare) {
        a_.of_u[(row_at + s) * p_.channels + first_ + channel_] =
            shared_[l_.u + s * l_.stride + channel_];
      }
    }
    const int64_t block_at = (int64_t{at_.row} * p_.blocks_per_row + at_.block) * p_.steps + begin_;
    store_raw(block_at);
    for (int w = thread_ % 32; w < 2 * p_.d_state; w += 32) {
      const int m = w < p_.d_state ? w : w - p_.d_state + S::kStates;
      for (int s = thread_ / 32; s < kSteps && real(s); s += at_.warps) {
        float sum = 0.0f;
        for (int warp = 0; warp < at_.warps; ++warp) {
          sum += shared_[l_.sums + (warp * kSteps + s) * 2 * S::kStates + m];
        }
        a_.of_dbl[(block_at + s) * width_ + a_.rank + w] = sum;
      }
    }
    store_weight();
  }

 private:
  using Scalar = typename Io<T>::Scalar;
  static constexpr int kShare = 32 / S::kChannels;  // threads of a channel

  __device__ __forceinline__ bool real(int s) const { return begin_ + s < p_.steps; }
  __device__ __forceinline__ bool has_channel() const { return first_ + channel_ < p_.channels; }
  // The thread's channel, or the last one: an address that may be read.
  __device__ __forceinline__ int channel_to_read() const {
    return min(first_ + channel_, p_.channels - 1);
  }

  // Where a step is on the grid, and where its limb neighbour is, where the direction has limbs. A
  // step past the end: any place, to be read and not used.
  __device__ __forceinline__ void locate(int s) {
    const Walk walk = a_.walk[at_.group];
    int step = min(begin_ + s, p_.steps - 1);
    if (walk.reverse) step = p_.steps - 1 - step;
    const bool by_joint = walk.order == PM_JOINT_MAJOR || walk.order == PM_JOINT_MAJOR_FLIPPED;
    const int inner = by_joint ? a_.frames : a_.joints;
    const int outer = step / inner;
    int in = step - outer * inner;
    if (walk.order == PM_FRAME_MAJOR_FLIPPED || walk.order == PM_JOINT_MAJOR_FLIPPED) {
      in = inner - 1 - in;
    }
    const int frame = by_joint ? in : outer, joint = by_joint ? outer : in;
    position_[s] = frame * a_.joints + joint;
    position_[kSteps + s] = frame * a_.joints + a_.limb_index[joint];
  }

  // As it lies in memory, [channel][rank], to [padded rank][channel].
  __device__ __forceinline__ void load_weight() {
    const float* weight =
        a_.dt_weight + (int64_t{at_.group} * p_.channels + channel_to_read()) * a_.rank;
    staged(
        share_, l_.rank, kShare, [&](int r) { return __ldg(weight + min(r, a_.rank - 1)); },
        [&](int r, float w) {
          shared_[l_.weight + r * channels_ + channel_] = r < a_.rank && has_channel() ? w : 0.0f;
        });
  }

  struct Value {
    Scalar own;
    Scalar limb;
    Scalar dy;
  };

  // An element of a step's position; with Limb also of its limb neighbour's.
  template <bool Limb>
  __device__ __forceinline__ void fetch(const T* from, int stride, int s, Value& v) const {
    v.own = Io<T>::load(from + int64_t{position_[s]} * stride);
    if constexpr (Limb) v.limb = Io<T>::load(from + int64_t{position_[kSteps + s]} * stride);
  }
  template <bool Limb>
  static __device__ __forceinline__ float sum(const Value& v) {
    return Limb ? Io<T>::value(v.own) + Io<T>::value(v.limb) : Io<T>::value(v.own);
  }

  template <bool Limb>
  __device__ __forceinline__ void load_inputs() {
    // A warp takes a step's part of x_dbl at once.
    const int padded = l_.rank + 2 * S::kStates;
    for (int w = thread_ % 32; w < padded; w += 32) {
      const bool is_raw = w < l_.rank;
      const int n = is_raw ? w : (w - l_.rank) % S::kStates;
      const bool exists = n < (is_raw ? a_.rank : p_.d_state);
      const int begin = is_raw ? 0 : a_.rank + (w - l_.rank) / S::kStates * p_.d_state;
      const T* from = x_dbl_ + (exists ? begin + n : 0);
      float* to = shared_ + (is_raw ? l_.raw + w : l_.bc + w - l_.rank);
      const int stride = is_raw ? l_.rank : 2 * S::kStates;
      staged(
          thread_ / 32, kSteps, at_.warps,
          [&](int s) {
            Value v{};
            fetch<Limb>(from, a_.x_dbl_stride, s, v);
            return v;
          },
          [&](int s, const Value& v) { to[s * stride] = exists && real(s) ? sum<Limb>(v) : 0.0f; });
    }
    staged(
        share_, kSteps, kShare,
        [&](int s) {
          Value v{};
          fetch<Limb>(x_ + channel_to_read(), a_.x_stride, s, v);
          v.dy = Io<T>::load(dy_ + channel_to_read() + int64_t{position_[s]} * a_.dy_stride);
          return v;
        },
        [&](int s, const Value& v) {
          const bool used = real(s) && has_channel();
          shared_[l_.u + s * l_.stride + channel_] = used ? sum<Limb>(v) : 0.0f;
          shared_[l_.dy + s * l_.stride + channel_] = used ? Io<T>::value(v.dy) : 0.0f;
        });
  }

  // Step sizes, several steps at once: a weight is read once for them.
  __device__ __forceinline__ void project() {
    const float bias =
        has_channel() ? __ldg(a_.dt_bias + int64_t{at_.group} * p_.channels + first_ + channel_)
                      : 0.0f;
    for (int base = share_; base < kSteps; base += kInFlight * kShare) {
      float dt[kInFlight] = {};
      for (int r = 0; r < l_.rank; r += 4) {
        float w[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) w[k] = shared_[l_.weight + (r + k) * channels_ + channel_];
#pragma unroll
        for (int m = 0; m < kInFlight; ++m) {
          float raw[4];
          read4(shared_ + l_.raw + min(base + m * kShare, kSteps - 1) * l_.rank + r, raw);
#pragma unroll
          for (int k = 0; k < 4; ++k) dt[m] = fmaf(w[k], raw[k], dt[m]);
        }
      }
#pragma unroll
      for (int m = 0; m < kInFlight; ++m) {
        const int s = base + m * kShare;
        if (s >= kSteps) break;
        shared_[l_.dt + s * l_.stride + channel_] =
            real(s) && has_channel() ? softplus(dt[m] + bias) : 0.0f;
      }
    }
  }

  // Gradients of the dt inputs, four at a time: the block's channels of W^T dv. Lanes are steps:
  // their rows hit all banks.
  __device__ __forceinline__ void store_raw(int64_t block_at) const {
    for (int i = thread_; i < kSteps * l_.rank / 4; i += threads_) {
      const int s = i % kSteps, r = (i / kSteps) * 4;
      const float* of_delta = shared_ + l_.dt + s * l_.stride;
      const float* weight = shared_ + l_.weight + r * channels_;
      float sums[4] = {};
#pragma unroll 2
      for (int c = 0; c < channels_; c += 4) {
        float v[4];
        read4(of_delta + c, v);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          float w[4];
          read4(weight + k * channels_ + c, w);
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[k] = fmaf(v[j], w[j], sums[k]);
        }
      }
      if (!real(s)) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (r + k < a_.rank) a_.of_dbl[(block_at + s) * width_ + r + k] = sums[k];
      }
    }
  }

  // The chunk's part of the gradient of dt_weight.
  __device__ __forceinline__ void store_weight() const {
    const int64_t chunk_at = (int64_t{at_.row} * p_.chunks + at_.chunk) * p_.channels;
    for (int r = 4 * share_; r < l_.rank; r += 4 * kShare) {
      float sums[4] = {};
#pragma unroll 8
      for (int s = 0; s < kSteps; ++s) {
        const float of_delta = shared_[l_.dt + s * l_.stride + channel_];
        float raw[4];
        read4(shared_ + l_.raw + s * l_.rank + r, raw);
#pragma unroll
        for (int k = 0; k < 4; ++k) sums[k] = fmaf(of_delta, raw[k], sums[k]);
      }
      if (!has_channel()) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (r + k >= a_.rank) break;
        a_.of_weight[(chunk_at + first_ + channel_) * a_.rank + r + k] = sums[k];
      }
    }
  }

  const CrossArgs& a_;
  const Problem& p_;
  const Layout& l_;
  const Place& at_;
  float* shared_;
  int first_;
  int begin_;
  int thread_;
  int threads_;
  int channels_;  // of the thread block
  int channel_;   // the thread's, of those
  int share_;     // which of the channel's threads it is
  int width_;     // of a direction's part of x_dbl
  int* position_;
  const T* x_;
  const T* dy_;
  const T* x_dbl_;
};

}  // namespace posemamba::cuda::backward
