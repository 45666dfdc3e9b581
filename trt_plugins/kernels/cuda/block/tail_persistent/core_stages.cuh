// Weights for warpgroup products, which read core matrices where the packing has fragments: a
// kernel of their own writes a tile's stages into the workspace, one after the other, for bulk
// copies.
#pragma once

#include "cuda/block/tail_persistent/weight_stage.cuh"
#include "cuda/block/wgmma.cuh"
#include "cuda/device/launch.h"

namespace posemamba::cuda {

constexpr int kCoreThreads = 256;

// Bytes of the stages of a tile with in_proj.
template <int D>
constexpr std::size_t kCoreBytes =
    static_cast<std::size_t>(WeightStage<D>::kMost) * WeightStage<D>::kBytes;

// Where the packed words of a core row lie: those of inputs 8 k8 + 2 q and the next, q from 0 to 3,
// of output n. `packed`: of a stage whose tiles of 16 outputs are `tile_row` bytes apart.
__device__ __forceinline__ const uint32_t* packed_word(const unsigned char* packed, int tile_row,
                                                       int n, int k8, int q) {
  const unsigned char* tile = packed + n / 16 * tile_row + k8 / 2 * kTileBytes;
  return reinterpret_cast<const uint32_t*>(tile) + (n % 8 * 4 + q) * 4 + n / 8 % 2 * 2 + k8 % 2;
}

// A block writes a stage: core matrices as wgmma.cuh says; of in_proj every 32 columns are
// reordered, and at D 256 every 32 inputs of out_proj, as gathered.cuh says.
// It does so while the launch before it still runs: that one is a scan, whose blocks
// have waited for every reader of what is overwritten. It ends after that one, so that who waits
// for this kernel has waited for both. Few blocks, which find room beside those of the scan.
template <int D>
__global__ void __launch_bounds__(kCoreThreads)
    core_stages_kernel(const __grid_constant__ pm_block_tail_params params, uint4* to) {
  using Stage = WeightStage<D>;
  constexpr int kRows = Stage::kBytes / 16;
  // What follows at D 256 is small blocks, which would take room from the scan.
  if constexpr (D < 256) dependency_release();
  const int number = static_cast<int>(blockIdx.x);
  const Stage stage(params, number);
  const bool gathered = D == 256 && number < Stage::kQuarters;
  const int outputs = stage.inputs ? D : 64;
  const int tile_row = stage.inputs ? stage.stride : D / 16 * kTileBytes;  // of 16 outputs
  to += int64_t{blockIdx.x} * kRows;
#pragma unroll
  for (int row = static_cast<int>(threadIdx.x); row < kRows; row += kCoreThreads) {
    const int k8 = row / outputs;
    const int place = row % outputs;
    const int n = stage.in_proj ? neighbours_of_32(place) : place;
    uint32_t words[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      words[q] = __ldg(gathered ? packed_word(stage.from, tile_row, n, k8 / 4 * 4 + q, k8 % 4)
                                : packed_word(stage.from, tile_row, n, k8, q));
    }
    to[row] = make_uint4(words[0], words[1], words[2], words[3]);
  }
  dependency_wait();
}

template <int D>
cudaError_t write_core_stages(const pm_block_tail_params& params, void* to, const Device& device,
                              cudaStream_t stream) {
  pm_block_tail_params copy = params;
  void* args[] = {&copy, &to};
  return launch(reinterpret_cast<const void*>(&core_stages_kernel<D>),
                dim3(static_cast<unsigned>(WeightStage<D>::count(params))), dim3(kCoreThreads),
                args, true, device, stream);
}

}  // namespace posemamba::cuda
