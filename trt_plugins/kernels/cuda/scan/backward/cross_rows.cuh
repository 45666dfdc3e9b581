// CrossSelectiveScan: how a chunk of a direction comes into shared memory, and where its gradients
// go. Nothing is copied for each direction: x, x_dbl and dy are read where a step stands on the
// grid. What the directions give back is in the order of their steps; `merge.cuh` adds it up.
#ifndef POSEMAMBA_KERNELS_CUDA_BACKWARD_CROSS_ROWS_CUH_
#define POSEMAMBA_KERNELS_CUDA_BACKWARD_CROSS_ROWS_CUH_

#include "cuda/device/math.cuh"
#include "cuda/scan/backward/problem.cuh"

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
  int64_t x_stride;
  int64_t x_dbl_stride;
  int64_t dy_stride;
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
    threads_ = at.warps * 32;
    channels_ = at.warps * S::kChannels;
    width_ = args.rank + 2 * p_.d_state;
    position_ = reinterpret_cast<int*>(shared + l_.position);
    const int64_t item = int64_t{at.row / p_.groups} * p_.steps;
    x_ = static_cast<const T*>(args.x) + item * args.x_stride;
    dy_ = static_cast<const T*>(args.dy) + item * args.dy_stride;
    x_dbl_ = static_cast<const T*>(args.x_dbl) + item * args.x_dbl_stride + at.group * width_;
  }

  // Ends with a barrier. Steps past the end are inert: dt, u, dy, B and C are zero.
  __device__ __forceinline__ void load() {
    for (int s = at_.thread; s < l_.steps; s += threads_) locate(s);
    const float* weight = a_.dt_weight + int64_t{at_.group} * p_.channels * a_.rank;
    for (int i = at_.thread; i < channels_ * a_.rank; i += threads_) {
      const int c = i / a_.rank, r = i % a_.rank;
      shared_[l_.weight + r * channels_ + c] =
          at_.first + c < p_.channels ? weight[(at_.first + c) * a_.rank + r] : 0.0f;
    }
    __syncthreads();
    load_dbl();
    load_channels();
    __syncthreads();
    project();
    __syncthreads();
  }

  // Begins with what the gradient kernel left behind a barrier.
  __device__ __forceinline__ void store() const {
    const int64_t row_at = int64_t{at_.row} * p_.steps + at_.begin;
    each_step([&](int s, int c) {
      if (at_.begin + s >= p_.steps || at_.first + c >= p_.channels) return;
      a_.of_u[(row_at + s) * p_.channels + at_.first + c] = shared_[l_.u + s * l_.stride + c];
    });
    const int64_t block_at =
        (int64_t{at_.row} * p_.blocks_per_row + at_.block) * p_.steps + at_.begin;
    for (int i = at_.thread; i < l_.steps * a_.rank; i += threads_) {
      const int s = i & (l_.steps - 1),
                r = i >> l_.bits;  // lanes are steps: their rows hit all banks
      if (at_.begin + s < p_.steps) a_.of_dbl[(block_at + s) * width_ + r] = of_raw(s, r);
    }
    for (int i = at_.thread; i < l_.steps * 2 * p_.d_state; i += threads_) {
      const int s = i / (2 * p_.d_state), w = i % (2 * p_.d_state);
      if (at_.begin + s >= p_.steps) continue;
      const int m = w < p_.d_state ? w : w - p_.d_state + S::kStates;
      float sum = 0.0f;
      for (int warp = 0; warp < at_.warps; ++warp) {
        sum += shared_[l_.sums + (warp * l_.steps + s) * 2 * S::kStates + m];
      }
      a_.of_dbl[(block_at + s) * width_ + a_.rank + w] = sum;
    }
    store_weight();
  }

 private:
  // Where a step is on the grid, and where its limb neighbour is; -1 for none.
  __device__ __forceinline__ void locate(int s) {
    const Walk walk = a_.walk[at_.group];
    int step = at_.begin + s;
    int own = -1, limb = -1;
    if (step < p_.steps) {
      if (walk.reverse) step = p_.steps - 1 - step;
      const bool by_joint = walk.order == PM_JOINT_MAJOR || walk.order == PM_JOINT_MAJOR_FLIPPED;
      const int inner = by_joint ? a_.frames : a_.joints;
      const int outer = step / inner;
      int in = step - outer * inner;
      if (walk.order == PM_FRAME_MAJOR_FLIPPED || walk.order == PM_JOINT_MAJOR_FLIPPED) {
        in = inner - 1 - in;
      }
      const int frame = by_joint ? in : outer, joint = by_joint ? outer : in;
      own = frame * a_.joints + joint;
      if (walk.limb_mask) limb = frame * a_.joints + a_.limb_index[joint];
    }
    position_[s] = own;
    position_[l_.steps + s] = limb;
  }

  // from [positions][stride], the element `i` of a step's position and of its limb neighbour.
  __device__ __forceinline__ float sum_at(const T* from, int64_t stride, int s, int i) const {
    const int own = position_[s], limb = position_[l_.steps + s];
    if (own < 0) return 0.0f;
    const float v = Io<T>::value(Io<T>::load(from + own * stride + i));
    return limb < 0 ? v : v + Io<T>::value(Io<T>::load(from + limb * stride + i));
  }

  __device__ __forceinline__ void load_dbl() {
    const int padded = a_.rank + 2 * S::kStates;
#pragma unroll 4
    for (int i = at_.thread; i < l_.steps * padded; i += threads_) {
      const int s = i / padded, w = i % padded;
      if (w < a_.rank) {
        shared_[l_.raw + s * a_.rank + w] = sum_at(x_dbl_, a_.x_dbl_stride, s, w);
      } else {
        const int n = (w - a_.rank) % S::kStates, is_c = (w - a_.rank) / S::kStates;
        const int from = a_.rank + is_c * p_.d_state + n;
        shared_[l_.bc + s * 2 * S::kStates + w - a_.rank] =
            n < p_.d_state ? sum_at(x_dbl_, a_.x_dbl_stride, s, from) : 0.0f;
      }
    }
  }

  // use(s, c) for all steps of one of the block's channels, shared with the threads that have the
  // same one: neighbours have neighbouring channels.
  template <class Use>
  __device__ __forceinline__ void each_step(const Use& use) const {
    constexpr int kShare = 32 / S::kChannels;  // threads of a channel
    const int c = at_.thread % channels_;
#pragma unroll 4
    for (int s = at_.thread / channels_; s < l_.steps; s += kShare) use(s, c);
  }

  __device__ __forceinline__ void load_channels() {
    each_step([&](int s, int c) {
      const int own = position_[s];
      const bool real = own >= 0 && at_.first + c < p_.channels;
      shared_[l_.u + s * l_.stride + c] = real ? sum_at(x_, a_.x_stride, s, at_.first + c) : 0.0f;
      shared_[l_.dy + s * l_.stride + c] =
          real ? Io<T>::value(Io<T>::load(dy_ + own * a_.dy_stride + at_.first + c)) : 0.0f;
    });
  }

  __device__ __forceinline__ void project() {
    const int64_t channel = int64_t{at_.group} * p_.channels + at_.first + at_.thread % channels_;
    const bool real = at_.first + at_.thread % channels_ < p_.channels;
    const float bias = real ? __ldg(a_.dt_bias + channel) : 0.0f;
    each_step([&](int s, int c) {
      float dt = 0.0f;
      if (position_[s] >= 0 && real) {
        for (int r = 0; r < a_.rank; ++r) {
          dt = fmaf(shared_[l_.weight + r * channels_ + c], shared_[l_.raw + s * a_.rank + r], dt);
        }
        dt = softplus(dt + bias);
      }
      shared_[l_.dt + s * l_.stride + c] = dt;
    });
  }

  // Gradient of a dt input: the block's channels of W^T dv.
  __device__ __forceinline__ float of_raw(int s, int r) const {
    const float* of_delta = shared_ + l_.dt + s * l_.stride;
    const float* weight = shared_ + l_.weight + r * channels_;
    float sum = 0.0f;
#pragma unroll 4
    for (int c = 0; c < channels_; c += 4) {
      const float4 v = *reinterpret_cast<const float4*>(of_delta + c);
      const float4 w = *reinterpret_cast<const float4*>(weight + c);
      sum = fmaf(v.x, w.x, sum), sum = fmaf(v.y, w.y, sum);
      sum = fmaf(v.z, w.z, sum), sum = fmaf(v.w, w.w, sum);
    }
    return sum;
  }

  // The chunk's part of the gradient of dt_weight.
  __device__ __forceinline__ void store_weight() const {
    const int64_t chunk_at = (int64_t{at_.row} * p_.chunks + at_.chunk) * p_.channels;
    for (int i = at_.thread; i < channels_ * a_.rank; i += threads_) {
      const int c = i % channels_, r = i / channels_;
      if (at_.first + c >= p_.channels) continue;
      float sum = 0.0f;
#pragma unroll 4
      for (int s = 0; s < l_.steps; ++s) {
        sum = fmaf(shared_[l_.dt + s * l_.stride + c], shared_[l_.raw + s * a_.rank + r], sum);
      }
      a_.of_weight[(chunk_at + at_.first + c) * a_.rank + r] = sum;
    }
  }

  const CrossArgs& a_;
  const Problem& p_;
  const Layout& l_;
  const Place& at_;
  float* shared_;
  int threads_;
  int channels_;  // of the thread block
  int width_;     // of a direction's part of x_dbl
  int* position_;
  const T* x_;
  const T* dy_;
  const T* x_dbl_;
};

}  // namespace posemamba::cuda::backward
#endif  // POSEMAMBA_KERNELS_CUDA_BACKWARD_CROSS_ROWS_CUH_
