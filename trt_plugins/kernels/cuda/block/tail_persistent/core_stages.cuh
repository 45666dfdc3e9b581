// Weights for warpgroup products, which read core matrices where the packing has fragments: a kernel
// of their own writes a tile's stages into the workspace, one after the other, for bulk copies.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"

namespace posemamba::cuda {

// A stage of `outputs` outputs is core matrices of 8 outputs by 8 inputs, 128 contiguous bytes,
// outputs fastest: row (input block k8, output n), 16 bytes of eight inputs, is its `k8 * outputs +
// n`th. Of in_proj every 32 columns are reordered, so that the accumulators of a lane are eight
// neighbours: column 8 p + 2 t + j becomes 8 t + 2 p + j.
template <int D>
struct CoreStages {
  using Stage = WeightStage<D>;
  static constexpr int kRows = Stage::kBytes / 16;  // of a stage
  static constexpr std::size_t kMostBytes =
      static_cast<std::size_t>(Stage::kMost) * Stage::kBytes;

  static __device__ __forceinline__ uint4 row(const pm_block_tail_params& params, int index) {
    const Stage stage(params, index / kRows);
    const int outputs = stage.inputs ? D : 64;
    const int k8 = index % kRows / outputs;
    int n = index % outputs;
    if (stage.in_proj) n = n / 32 * 32 + n / 2 % 4 * 8 + n / 8 % 4 * 2 + n % 2;
    // A packed tile holds, for lane 4 (n % 8) + q, two neighbouring inputs of four core rows.
    const int64_t tile = stage.inputs ? n / 16 * int64_t{stage.stride} + k8 / 2 * 512
                                      : (n / 16 * (D / 16) + k8 / 2) * 512;
    const auto* words = reinterpret_cast<const uint32_t*>(stage.from + tile) + n % 8 * 16 +
                        n / 8 % 2 * 2 + k8 % 2;
    return make_uint4(__ldg(words), __ldg(words + 4), __ldg(words + 8), __ldg(words + 12));
  }
};

constexpr int kCoreThreads = 256;

// Writes `rows` rows, a thread each, while the launch before it still runs: that one is a scan,
// whose blocks have waited for every reader of what is overwritten. It ends after it, so that who
// waits for this kernel has waited for both.
template <int D>
__global__ void __launch_bounds__(kCoreThreads)
    core_stages_kernel(const __grid_constant__ pm_block_tail_params params, uint4* to, int rows) {
  dependency_release();
  const int index = static_cast<int>(blockIdx.x) * kCoreThreads + static_cast<int>(threadIdx.x);
  if (index < rows) to[index] = CoreStages<D>::row(params, index);
  dependency_wait();
}

}  // namespace posemamba::cuda
