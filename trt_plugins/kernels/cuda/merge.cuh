// Sum of the directional outputs, back in position order, plus the skip term D * u.
#ifndef POSEMAMBA_KERNELS_CUDA_MERGE_CUH_
#define POSEMAMBA_KERNELS_CUDA_MERGE_CUH_

#include "cuda/cross_scan.cuh"

namespace posemamba::cuda {

constexpr int kMergeThreads = 256;

// Four channels; 8-byte (fp16) or 16-byte (fp32) aligned when `aligned`.
template <typename T>
__device__ __forceinline__ float4 load_quad(const T* p, bool aligned) {
  if (aligned) {
    if constexpr (sizeof(T) == 4) {
      return __ldg(reinterpret_cast<const float4*>(p));
    } else {
      const uint2 v = __ldg(reinterpret_cast<const uint2*>(p));
      const float2 lo = Io<T>::value2(v.x);
      const float2 hi = Io<T>::value2(v.y);
      return make_float4(lo.x, lo.y, hi.x, hi.y);
    }
  }
  return make_float4(Io<T>::value(Io<T>::load(p)), Io<T>::value(Io<T>::load(p + 1)),
                     Io<T>::value(Io<T>::load(p + 2)), Io<T>::value(Io<T>::load(p + 3)));
}

template <typename T>
__device__ __forceinline__ void store_quad(T* p, float4 v, bool aligned) {
  if (aligned) {
    if constexpr (sizeof(T) == 4) {
      *reinterpret_cast<float4*>(p) = v;
    } else {
      const __half2 lo = __floats2half2_rn(v.x, v.y);
      const __half2 hi = __floats2half2_rn(v.z, v.w);
      *reinterpret_cast<uint2*>(p) = make_uint2(*reinterpret_cast<const uint32_t*>(&lo),
                                                *reinterpret_cast<const uint32_t*>(&hi));
    }
    return;
  }
  Io<T>::store(p, v.x), Io<T>::store(p + 1, v.y);
  Io<T>::store(p + 2, v.z), Io<T>::store(p + 3, v.w);
}

// Four channels of a direction's output, read once and then dead: out of the caches first.
__device__ __forceinline__ float4 load_partial(const float* p) {
  return __ldcs(reinterpret_cast<const float4*>(p));
}
__device__ __forceinline__ float4 load_partial(const __half* p) {
  const uint2 v = __ldcs(reinterpret_cast<const uint2*>(p));
  const float2 lo = Io<__half>::value2(v.x);
  const float2 hi = Io<__half>::value2(v.y);
  return make_float4(lo.x, lo.y, hi.x, hi.y);
}

__device__ __forceinline__ void add_scaled(float4& sum, const float4& d, const float4& u) {
  sum.x = fmaf(d.x, u.x, sum.x), sum.y = fmaf(d.y, u.y, sum.y);
  sum.z = fmaf(d.z, u.z, sum.z), sum.w = fmaf(d.w, u.w, sum.w);
}
__device__ __forceinline__ void add(float4& sum, const float4& v) {
  sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
}

// A block owns merge_positions * blockDim.y positions of one batch item (blockIdx.y); a thread four
// channels of merge_positions of them, two at a time so that eight 16-byte reads are in flight.
// Sums run over k in ascending order, so results do not depend on the launch shape.
template <typename T>
__global__ void __launch_bounds__(kMergeThreads, 3)
    cross_merge_kernel(const __grid_constant__ CrossArgs a) {
  __shared__ unsigned char limb[PM_MAX_JOINTS];
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  if (thread < PM_MAX_JOINTS) limb[thread] = a.limb_index[thread];
  __syncthreads();  // the limb table is complete

  const int64_t plane = int64_t{a.steps} * a.d_inner;
  const int64_t batch = blockIdx.y;
  const T* x = static_cast<const T*>(a.x) + batch * a.steps * a.x_stride;
  T* y = static_cast<T*>(a.y) + batch * a.steps * a.y_stride;
  const T* partial = static_cast<const T*>(a.partial) + batch * a.directions * plane;
  const int rows = static_cast<int>(blockDim.y);
  const int first =
      static_cast<int>(blockIdx.x) * a.merge_positions * rows + static_cast<int>(threadIdx.y);
  for (int channel = static_cast<int>(threadIdx.x) * 4; channel < a.d_inner;
       channel += static_cast<int>(blockDim.x) * 4) {
    float4 d_all = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float4 d_limb = d_all;
    bool any_limb = false;
    for (int k = 0; k < a.directions; ++k) {
      const float* d = a.D + int64_t{k} * a.d_inner + channel;
      const float4 v = make_float4(__ldg(d), __ldg(d + 1), __ldg(d + 2), __ldg(d + 3));
      add(d_all, v);
      if (a.limb_mask[k]) add(d_limb, v), any_limb = true;
    }
    dependency_wait();  // the partial outputs come from the previous launch
#pragma unroll 1
    for (int m = 0; m < a.merge_positions; m += 2) {
      float4 sum[2];
      int at[2];
      int frame[2];
      int joint[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        // The last block's threads past the end repeat the last position.
        at[i] = min(first + (m + i) * rows, a.steps - 1);
        frame[i] = at[i] / a.joints;
        joint[i] = at[i] - frame[i] * a.joints;
        sum[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      }
#pragma unroll 1
      for (int k = 0; k < a.directions; k += 4) {
        float4 v[2][4];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            const int64_t step = a.step_base[k + q] + a.step_frame[k + q] * frame[i] +
                                 a.step_joint[k + q] * joint[i];
            const T* from = partial + (k + q) * plane + step * a.d_inner + channel;
            v[i][q] =
                k + q < a.directions ? load_partial(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
          }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int q = 0; q < 4; ++q) add(sum[i], v[i][q]);
        }
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        add_scaled(sum[i], d_all, load_quad<T>(x + at[i] * a.x_stride + channel, a.quads_aligned));
        if (any_limb) {
          const int64_t other = frame[i] * a.joints + limb[joint[i]];
          add_scaled(sum[i], d_limb,
                     load_quad<T>(x + other * a.x_stride + channel, a.quads_aligned));
        }
        store_quad<T>(y + at[i] * a.y_stride + channel, sum[i], a.quads_aligned);
      }
    }
  }
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_MERGE_CUH_
