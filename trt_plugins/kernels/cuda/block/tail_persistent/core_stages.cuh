// Weights for warpgroup products, which read core matrices where the packing has fragments: a
// kernel of their own writes a tile's stages into the workspace, one after the other, for bulk
// copies.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/block/wgmma.cuh"

namespace posemamba::cuda {

constexpr int kCoreThreads = 256;

// Bytes of the stages of a tile with in_proj.
template <int D>
constexpr std::size_t kCoreBytes =
    static_cast<std::size_t>(WeightStage<D>::kMost) * WeightStage<D>::kBytes;

// A block writes a stage: core matrices as wgmma.cuh says; of in_proj every 32 columns are
// reordered. It does so while the launch before it still runs: that one is a scan, whose blocks
// have waited for every reader of what is overwritten. It ends after that one, so that who waits
// for this kernel has waited for both. Few blocks, which find room beside those of the scan.
template <int D>
__global__ void __launch_bounds__(kCoreThreads)
    core_stages_kernel(const __grid_constant__ pm_block_tail_params params, uint4* to) {
  using Stage = WeightStage<D>;
  constexpr int kRows = Stage::kBytes / 16;
  dependency_release();
  const Stage stage(params, static_cast<int>(blockIdx.x));
  const int outputs = stage.inputs ? D : 64;
  const int tile_row = stage.inputs ? stage.stride : D / 16 * kTileBytes;  // of 16 outputs
  to += int64_t{blockIdx.x} * kRows;
#pragma unroll
  for (int row = static_cast<int>(threadIdx.x); row < kRows; row += kCoreThreads) {
    const int k8 = row / outputs;
    const int place = row % outputs;
    const int n = stage.in_proj ? neighbours_of_32(place) : place;
    // A packed tile holds, for lane 4 (n % 8) + q, two neighbouring inputs of four core rows.
    const unsigned char* tile = stage.from + n / 16 * tile_row + k8 / 2 * kTileBytes;
    const auto* words =
        reinterpret_cast<const uint32_t*>(tile) + n % 8 * 16 + n / 8 % 2 * 2 + k8 % 2;
    to[row] = make_uint4(__ldg(words), __ldg(words + 4), __ldg(words + 8), __ldg(words + 12));
  }
  dependency_wait();
}

}  // namespace posemamba::cuda
