// Between the two passes of the resident design: a block's end state goes out, those of the chunks
// before it come in.
#pragma once

#include "cuda/scan/split_channel/resident/config.cuh"
#include "cuda/scan/split_channel/resident/exchange.cuh"

namespace posemamba::cuda::resident {

// Where the words of a chunk and those behind it lie: [slot][kFolded][kThreads] states, and sums of
// dt, [slot][kChannels].
struct Words {
  float* states;
  float* sums;

  __device__ __forceinline__ Words(float* exchange, int slots, int slot) {
    constexpr int kStatesOfSlot = kChannels * kOnePassStates;
    states = exchange + int64_t{slot} * kStatesOfSlot;
    sums = exchange + int64_t{slots} * kStatesOfSlot + int64_t{slot} * kChannels;
  }
};

class Folder {
  // Chunks whose words are on their way at once: all that 16 wait for.
  static constexpr int kAhead = 15;

 public:
  __device__ __forceinline__ Folder(const CrossArgs& a, int direction, int first) {
    thread_ = static_cast<int>(threadIdx.x);
    channel_ = thread_ / kFolders;
    at_ = channel_ * kEndRow + thread_ % kFolders;
    const int64_t channel = min(first + channel_, a.d_inner - 1);
    const float* from = a.A + (int64_t{direction} * a.d_inner + channel) * kOnePassStates;
#pragma unroll
    for (int i = 0; i < kFolded; ++i) {
      a_[i] = __ldg(from + thread_ % kFolders + kFolders * i) * kLog2e;
    }
  }

  // Tells the block's end state if `own` is wanted, hears those of `before` chunks, and leaves in
  // `ends` what every sub-chunk begins with.
  __device__ __forceinline__ void fold(Shared& s, const Words& own, bool wanted,
                                       const Words& others, int before) const {
    float end[kSubs][kFolded];
    float decay[kSubs][kFolded];
    float h[kFolded] = {};
    float sum = 0.0f;
#pragma unroll
    for (int sub = 0; sub < kSubs; ++sub) {
      const float dt = s.sums[sub][channel_];
      sum += dt;
#pragma unroll
      for (int i = 0; i < kFolded; ++i) {
        end[sub][i] = s.ends[sub][at_ + kFolders * i];
        decay[sub][i] = exp2_fast(dt * a_[i]);
        h[i] = fmaf(decay[sub][i], h[i], end[sub][i]);
      }
    }
    if (wanted) {
#pragma unroll
      for (int i = 0; i < kFolded; ++i) tell(own.states + i * kThreads + thread_, h[i]);
      if (thread_ % kFolders == 0) tell(own.sums + channel_, sum);
    }
    hear(others, before, h);
#pragma unroll
    for (int sub = 0; sub < kSubs; ++sub) {
#pragma unroll
      for (int i = 0; i < kFolded; ++i) {
        s.ends[sub][at_ + kFolders * i] = h[i];
        h[i] = fmaf(decay[sub][i], h[i], end[sub][i]);
      }
    }
  }

 private:
  // The state that `before` chunks, one behind the other, end with.
  __device__ __forceinline__ void hear(Words from, int before, float (&h)[kFolded]) const {
    from.states += thread_, from.sums += channel_;
#pragma unroll
    for (int i = 0; i < kFolded; ++i) h[i] = 0.0f;
#pragma unroll 1
    for (; before > 0; before -= kAhead) {
      float end[kAhead][kFolded];
      float sum[kAhead];
      unsigned most;
      do {
        most = 0;
#pragma unroll
        for (int p = 0; p < kAhead; ++p) {
          if (p >= before) break;
          sum[p] = look(from.sums + p * kChannels);
#pragma unroll
          for (int i = 0; i < kFolded; ++i) {
            end[p][i] = look(from.states + (p * kFolded + i) * kThreads);
          }
        }
#pragma unroll
        for (int p = 0; p < kAhead; ++p) {
          if (p >= before) break;
          most = max(most, __float_as_uint(sum[p]));
#pragma unroll
          for (int i = 0; i < kFolded; ++i) most = max(most, __float_as_uint(end[p][i]));
        }
      } while (most == kUntold);
#pragma unroll
      for (int p = 0; p < kAhead; ++p) {
        if (p >= before) break;
#pragma unroll
        for (int i = 0; i < kFolded; ++i) h[i] = fmaf(exp2_fast(sum[p] * a_[i]), h[i], end[p][i]);
      }
      from.states += kAhead * kFolded * kThreads;
      from.sums += kAhead * kChannels;
    }
  }

  float a_[kFolded];  // A * log2(e) of states thread_ % kFolders + kFolders * i
  int thread_;
  int channel_;  // of the block
  int at_;       // of the first state in Shared::ends
};

}  // namespace posemamba::cuda::resident
