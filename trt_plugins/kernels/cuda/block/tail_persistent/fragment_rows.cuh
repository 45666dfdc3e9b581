// Sixteen rows of D channels in a warp's accumulators, as mma leaves them: lane (g, p) = (lane / 4,
// lane % 4) holds of rows g and g + 8 the channels 8 t + 2 p and the next, for every t. A row's
// neighbours are in four lanes, so LayerNorm needs two shuffles a sum, and the normalised rows are
// the next product's operand where they stand.
#pragma once

#include "cuda/device/mma.cuh"
#include "cuda/device/quad.cuh"

namespace posemamba::cuda {

__device__ __forceinline__ float2 read_pair(const float* p) {
  return *reinterpret_cast<const float2*>(p);
}
// The sum over the four lanes of a row, in all four.
__device__ __forceinline__ float row_sum(float v) {
  v += __shfl_xor_sync(0xffffffffu, v, 1);
  return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

// A warp's sixteen rows as the operand of a product.
template <int K>
struct FragmentOperand {
  uint32_t a[K / 16][4];

  // Tile t of a FragmentRows.
  __device__ __forceinline__ void put(int t, float2 first, float2 second) {
    a[t / 2][t % 2 * 2] = half_pair(first.x, first.y);
    a[t / 2][t % 2 * 2 + 1] = half_pair(second.x, second.y);
  }
  // From sixteen rows in shared memory, `stride` halves apart.
  __device__ __forceinline__ void load(const __half* rows, int stride, int lane) {
#pragma unroll
    for (int k = 0; k < K / 16; ++k) load_a(rows, stride, 0, k * 16, lane, a[k]);
  }
};

template <int D>
struct FragmentRows {
  static constexpr int kTiles = D / 8;
  float sum[kTiles][4];  // mma registers: row g in 0 and 1, row g + 8 in 2 and 3

  // From `at`, where row g's channel 2 p lies; row g + 8 is eight rows further. Rows that do not
  // exist are zeros.
  __device__ __forceinline__ void load(const float* at, const bool (&exists)[2]) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float2 v = exists[r] ? read_pair(at + r * 8 * D + 8 * t) : make_float2(0.0f, 0.0f);
        sum[t][2 * r] = v.x, sum[t][2 * r + 1] = v.y;
      }
    }
  }
  __device__ __forceinline__ void store(float* at, const bool (&exists)[2]) const {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (!exists[r]) continue;
        *reinterpret_cast<float2*>(at + r * 8 * D + 8 * t) =
            make_float2(sum[t][2 * r], sum[t][2 * r + 1]);
      }
    }
  }
  // Adds to row g (r 0) or g + 8 (r 1).
  __device__ __forceinline__ void add(int r, const float* row, int p) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      const float2 v = read_pair(row + 8 * t + 2 * p);
      sum[t][2 * r] += v.x, sum[t][2 * r + 1] += v.y;
    }
  }

  // LayerNorm: put(t, the two values of row g, those of row g + 8). Two passes over registers, as
  // RowGroup's.
  template <class Put>
  __device__ __forceinline__ void normalize(const float (&norm)[2][D], float epsilon, int p,
                                            Put&& put) const {
    constexpr float kInverse = 1.0f / D;
    float mean[2] = {0.0f, 0.0f};
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      mean[0] += sum[t][0] + sum[t][1], mean[1] += sum[t][2] + sum[t][3];
    }
    float squares[2] = {0.0f, 0.0f};
    float scale[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) mean[r] = row_sum(mean[r]) * kInverse;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float off = sum[t][i] - mean[i / 2];
        squares[i / 2] = fmaf(off, off, squares[i / 2]);
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      scale[r] = rsqrtf(fmaf(row_sum(squares[r]), kInverse, epsilon));
      mean[r] *= -scale[r];
    }
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      const float2 gamma = read_pair(norm[0] + 8 * t + 2 * p);
      const float2 beta = read_pair(norm[1] + 8 * t + 2 * p);
      float v[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        v[i] = fmaf(fmaf(sum[t][i], scale[i / 2], mean[i / 2]), i % 2 ? gamma.y : gamma.x,
                    i % 2 ? beta.y : beta.x);
      }
      put(t, make_float2(v[0], v[1]), make_float2(v[2], v[3]));
    }
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < kTiles * 4; ++i) sum[i / 4][i % 4] = 0.0f;
  }

  // += operand * the weights of D outputs and K inputs: packed tiles, for mma.sync.
  template <int K>
  __device__ __forceinline__ void multiply_tiles(const unsigned char* tiles,
                                                 const FragmentOperand<K>& operand, int lane) {
    constexpr int kSteps = K / 16;
    const uint4* words = reinterpret_cast<const uint4*>(tiles) + lane;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int t = 0; t < kTiles / 2; ++t) {
        const uint4 b = words[(t * kSteps + k) * 32];
        mma(sum[2 * t], operand.a[k], b.x, b.y);
        mma(sum[2 * t + 1], operand.a[k], b.z, b.w);
      }
    }
  }
};

}  // namespace posemamba::cuda
