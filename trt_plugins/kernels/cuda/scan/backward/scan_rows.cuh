// SelectiveScan: how a chunk of a group comes into shared memory, and where its gradients go. Rows
// run along the steps, so neighbouring threads take neighbouring steps.
#pragma once

#include "cuda/device/math.cuh"
#include "cuda/scan/backward/problem.cuh"
#include "cuda/scan/backward/staged.cuh"

namespace posemamba::cuda::backward {

struct ScanArgs {
  Problem problem;
  const void* u;
  const void* delta;
  const void* B;
  const void* C;
  const void* z;            // null: no gate
  const float* delta_bias;  // null: none
  const void* dy;
  void* du;
  void* ddelta;
  void* dz;
  float* of_bc;  // [batch * groups][blocks_per_row][2 d_state][steps], steps as they lie in memory
  int reverse[PM_MAX_DIRECTIONS];
};

// Gated: whether there is a z.
template <class S, typename T, bool Gated>
class ScanRows {
 public:
  using Args = ScanArgs;
  static constexpr bool kGated = Gated;

  __device__ __forceinline__ ScanRows(const ScanArgs& args, const Place& at, float* shared)
      : a_(args), p_(args.problem), l_(args.problem.layout), at_(at), shared_(shared) {
    // Not read again from shared memory after each write there.
    first_ = at.first, begin_ = at.begin;
    thread_ = thread_number();
    threads_ = at.warps * 32;
    channels_ = at.warps * S::kChannels;
    channels_at_ = (int64_t{at.row} * p_.channels + at.first) * p_.steps;
    states_at_ = int64_t{at.row} * p_.d_state * p_.steps;
    reverse_ = args.reverse[at.group] != 0;
  }

  // Ends with a barrier. Steps past the end are inert: dt, u, dy, B and C are zero.
  __device__ __forceinline__ void load() {
    staged(
        thread_, kSteps * channels_, threads_,
        [&](int i) {
          const int s = i % kSteps, c = min(i / kSteps, p_.channels - 1 - first_);
          const int64_t from = channels_at_ + int64_t{c} * p_.steps + along(s);
          Value v{};
          v.dt = read(a_.delta, from), v.u = read(a_.u, from), v.dy = read(a_.dy, from);
          if constexpr (Gated) v.z = read(a_.z, from);
          return v;
        },
        [&](int i, const Value& v) {
          const int s = i % kSteps, c = i / kSteps;
          const bool used = real(s) && first_ + c < p_.channels;
          float dt = Io<T>::value(v.dt), dy = Io<T>::value(v.dy);
          if (used && a_.delta_bias != nullptr) {
            dt += __ldg(a_.delta_bias + int64_t{at_.group} * p_.channels + first_ + c);
          }
          if (p_.softplus) dt = softplus(dt);
          if constexpr (Gated) dy *= silu(Io<T>::value(v.z));
          const int to = s * l_.stride + c;
          shared_[l_.dt + to] = used ? dt : 0.0f;
          shared_[l_.u + to] = used ? Io<T>::value(v.u) : 0.0f;
          shared_[l_.dy + to] = used ? dy : 0.0f;
        });
    staged(
        thread_, kSteps * 2 * S::kStates, threads_,
        [&](int i) {
          const int s = i % kSteps, w = i / kSteps;
          const int n = min(w % S::kStates, p_.d_state - 1);
          return read(w < S::kStates ? a_.B : a_.C, states_at_ + int64_t{n} * p_.steps + along(s));
        },
        [&](int i, Scalar v) {
          const int s = i % kSteps, w = i / kSteps;
          shared_[l_.bc + s * 2 * S::kStates + w] =
              real(s) && w % S::kStates < p_.d_state ? Io<T>::value(v) : 0.0f;
        });
    __syncthreads();
  }

  __device__ __forceinline__ void store() const {
    for (int i = thread_; i < kSteps * channels_; i += threads_) {
      const int s = i % kSteps, c = i / kSteps;
      if (!real(s) || first_ + c >= p_.channels) continue;
      const int64_t to = channels_at_ + int64_t{c} * p_.steps + along(s);
      const int from = s * l_.stride + c;
      put(a_.du, to, shared_[l_.u + from]);
      put(a_.ddelta, to, shared_[l_.dt + from]);
      if constexpr (Gated) put(a_.dz, to, value(a_.dy, to) * of_gate(to, shared_[l_.dy + from]));
    }
    const int64_t block_at =
        (int64_t{at_.row} * p_.blocks_per_row + at_.block) * 2 * p_.d_state * p_.steps;
    for (int i = thread_; i < kSteps * 2 * p_.d_state; i += threads_) {
      const int s = i % kSteps, w = i / kSteps;
      if (!real(s)) continue;
      const int m = w < p_.d_state ? w : w - p_.d_state + S::kStates;
      float sum = 0.0f;
      for (int warp = 0; warp < at_.warps; ++warp) {
        sum += shared_[l_.sums + (warp * kSteps + s) * 2 * S::kStates + m];
      }
      a_.of_bc[block_at + int64_t{w} * p_.steps + along(s)] = sum;
    }
  }

 private:
  using Scalar = typename Io<T>::Scalar;
  struct Value {
    Scalar dt;
    Scalar u;
    Scalar dy;
    Scalar z;
  };

  __device__ __forceinline__ bool real(int s) const { return begin_ + s < p_.steps; }
  // Where a step of the chunk lies in a row; of one past the end, the last.
  __device__ __forceinline__ int along(int s) const {
    const int step = min(begin_ + s, p_.steps - 1);
    return reverse_ ? p_.steps - 1 - step : step;
  }
  // d (y silu(z)) / dz, y before the gate.
  __device__ __forceinline__ float of_gate(int64_t at, float y) const {
    const float z = value(a_.z, at);
    const float sigmoid = reciprocal_fast(1.0f + exp2_fast(-z * kLog2e));
    return y * sigmoid * fmaf(z, 1.0f - sigmoid, 1.0f);
  }
  static __device__ __forceinline__ Scalar read(const void* from, int64_t at) {
    return Io<T>::load(static_cast<const T*>(from) + at);
  }
  static __device__ __forceinline__ float value(const void* from, int64_t at) {
    return Io<T>::value(read(from, at));
  }
  static __device__ __forceinline__ void put(void* to, int64_t at, float v) {
    Io<T>::store(static_cast<T*>(to) + at, v);
  }

  const ScanArgs& a_;
  const Problem& p_;
  const Layout& l_;
  const Place& at_;
  float* shared_;
  int first_;
  int begin_;
  int thread_;
  int threads_;
  int channels_;  // of the thread block
  int64_t channels_at_;
  int64_t states_at_;
  bool reverse_;
};

}  // namespace posemamba::cuda::backward
