// Sum of the directional outputs, back in position order, plus the skip term D * u.
#pragma once

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

constexpr int kMergeThreads = 256;

// What a thread reads or writes at once: 16 bytes of neighbouring channels.
template <typename T>
struct Word {
  static constexpr int kChannels = 16 / sizeof(T);
  float v[kChannels];

  __device__ __forceinline__ void load(const T* p, bool aligned) {
    if (aligned) {
      unpack(__ldg(reinterpret_cast<const uint4*>(p)));
    } else {
#pragma unroll
      for (int i = 0; i < kChannels; ++i) v[i] = Io<T>::value(Io<T>::load(p + i));
    }
  }
  __device__ __forceinline__ void add(uint4 bits) {
    Word other;
    other.unpack(bits);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) v[i] += other.v[i];
  }
  __device__ __forceinline__ void store(T* p, bool aligned) const {
    if (aligned) {
      alignas(16) T to[kChannels];
#pragma unroll
      for (int i = 0; i < kChannels; ++i) Io<T>::store(to + i, v[i]);
      *reinterpret_cast<uint4*>(p) = *reinterpret_cast<const uint4*>(to);
    } else {
#pragma unroll
      for (int i = 0; i < kChannels; ++i) Io<T>::store(p + i, v[i]);
    }
  }

 private:
  __device__ __forceinline__ void unpack(uint4 bits) {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (sizeof(T) == 4) {
        v[i] = __uint_as_float(words[i]);
      } else {
        const float2 two = Io<T>::value2(words[i]);
        v[2 * i] = two.x, v[2 * i + 1] = two.y;
      }
    }
  }
};

// The skip weights of a block's channels, summed over the directions.
struct Skip {
  float all[kMergeThreads * 8];
  float masked[kMergeThreads * 8];  // over the directions with a limb sum
};

// A block owns merge_positions * blockDim.y positions of one batch item (blockIdx.y); a thread 16
// bytes of channels of merge_positions of them, two at a time so that eight reads are in flight.
// Sums run over k in ascending order, so results do not depend on the launch shape.
template <typename T>
__global__ void __launch_bounds__(kMergeThreads, sizeof(T) == 2 ? 2 : 3)
    cross_merge_kernel(const __grid_constant__ CrossArgs a) {
  constexpr int kChannels = Word<T>::kChannels;
  __shared__ unsigned char limb[PM_MAX_JOINTS];
  __shared__ Skip skip;
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  if (thread < PM_MAX_JOINTS) limb[thread] = a.limb_index[thread];
  bool any_limb = false;
  for (int k = 0; k < a.directions; ++k) any_limb = any_limb || a.limb_mask[k] != 0;

  const int64_t plane = int64_t{a.steps} * a.d_inner;
  const int64_t batch = blockIdx.y;
  const T* x = static_cast<const T*>(a.x) + batch * a.steps * a.x_stride;
  T* y = static_cast<T*>(a.y) + batch * a.steps * a.y_stride;
  const T* partial = static_cast<const T*>(a.partial) + batch * a.directions * plane;
  const int rows = static_cast<int>(blockDim.y);
  const int width = static_cast<int>(blockDim.x) * kChannels;
  const int first =
      static_cast<int>(blockIdx.x) * a.merge_positions * rows + static_cast<int>(threadIdx.y);
  for (int channel0 = 0; channel0 < a.d_inner; channel0 += width) {
    __syncthreads();  // nobody reads the previous channels' sums any more
    for (int i = thread; i < width && channel0 + i < a.d_inner; i += kMergeThreads) {
      float all = 0.0f;
      float masked = 0.0f;
      for (int k = 0; k < a.directions; ++k) {
        const float d = __ldg(a.D + int64_t{k} * a.d_inner + channel0 + i);
        all += d;
        if (a.limb_mask[k]) masked += d;
      }
      skip.all[i] = all, skip.masked[i] = masked;
    }
    __syncthreads();    // the sums and the limb table are complete
    dependency_wait();  // the directions' outputs come from the previous launch
    const int own = static_cast<int>(threadIdx.x) * kChannels;
    const int channel = channel0 + own;
    if (channel >= a.d_inner) continue;
#pragma unroll 1
    for (int m = 0; m < a.merge_positions; m += 2) {
      Word<T> sum[2];
      int at[2];
      int frame[2];
      int joint[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        // The last block's threads past the end repeat the last position.
        at[i] = min(first + (m + i) * rows, a.steps - 1);
        frame[i] = at[i] / a.joints;
        joint[i] = at[i] - frame[i] * a.joints;
#pragma unroll
        for (int c = 0; c < kChannels; ++c) sum[i].v[c] = 0.0f;
      }
#pragma unroll 1
      for (int k = 0; k < a.directions; k += 4) {
        uint4 part[2][4];  // as they lie in memory: half the registers in fp16
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            if (k + q >= a.directions) continue;
            const int64_t step = a.step_base[k + q] + a.step_frame[k + q] * frame[i] +
                                 a.step_joint[k + q] * joint[i];
            // Read once and then dead: out of the caches first.
            part[i][q] = __ldcs(reinterpret_cast<const uint4*>(partial + (k + q) * plane +
                                                               step * a.d_inner + channel));
          }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            if (k + q >= a.directions) continue;
            sum[i].add(part[i][q]);
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        Word<T> u;
        u.load(x + at[i] * a.x_stride + channel, a.words_aligned);
#pragma unroll
        for (int c = 0; c < kChannels; ++c) {
          sum[i].v[c] = fmaf(skip.all[own + c], u.v[c], sum[i].v[c]);
        }
        if (any_limb) {
          const int64_t other = frame[i] * a.joints + limb[joint[i]];
          u.load(x + other * a.x_stride + channel, a.words_aligned);
#pragma unroll
          for (int c = 0; c < kChannels; ++c) {
            sum[i].v[c] = fmaf(skip.masked[own + c], u.v[c], sum[i].v[c]);
          }
        }
        sum[i].store(y + at[i] * a.y_stride + channel, a.words_aligned);
      }
    }
  }
}

}  // namespace posemamba::cuda
