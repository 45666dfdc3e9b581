// The vectors every thread block of a tail reads whole.
#pragma once

#include "cuda/device/copy_async.cuh"
#include "cuda/device/rows.cuh"

namespace posemamba::cuda {

// pm_block_tail_params::vectors, as they lie. Parted: but for the first two, which lanes read that
// hold eight neighbouring channels. Of every 256 channels the first quad of every lane comes first,
// so that a read hits all banks.
template <int D, bool Parted>
struct TailVectors {
  float out_norm[2][2 * D];
  float skip[2][2 * D];  // sum of D over all directions, over those with a limb sum
  float norm2[2][D];
  float shared_norm[2][D];
  float next_norm[2][D];
  float fc1_bias[2 * D];
  float fc2_bias[D];

  // Starts this thread's share of the copy; copies_done() and a barrier complete it.
  __device__ __forceinline__ void copy_from(const float* from, int thread, int threads) {
    for (int i = thread; i < static_cast<int>(sizeof(TailVectors) / 16); i += threads) {
      const int to = kParted && i < 2 * D ? i / 64 * 64 + i % 2 * 32 + i % 64 / 2 : i;
      copy_async(reinterpret_cast<float4*>(this) + to, reinterpret_cast<const float4*>(from) + i);
    }
  }
  // Quad q (RowGroup's numbering) of a lane in one of the first two.
  template <int Lanes = 32>
  static __device__ __forceinline__ float4 gate_quad(const float (&vector)[2 * D], int q,
                                                     int lane) {
    static_assert(!kParted || Lanes == 32, "as copy_from parts them");
    if constexpr (!kParted) {
      return read_quad(vector + RowGroup<2 * D, 1, false, Lanes>::channel(q, lane));
    }
    return read_quad(vector + (q / 2 * 64 + q % 2 * 32 + lane) * 4);
  }

 private:
  static constexpr bool kParted = Parted && D >= 128;  // else a lane holds one quad
};
static_assert(sizeof(TailVectors<64, false>) == 17 * 64 * sizeof(float), "as block_cuda.h says");

}  // namespace posemamba::cuda
