// One thread block a multiprocessor walks over tiles of 128 positions, taken from the batch as one
// list. Gate warps make the rows of the next tile while matrix warps multiply those of this one;
// weights stream through shared memory, once a tile. For batches, where tail_single would read the
// weights from the L2 for every 32 positions.
#ifndef U0
#define U0 2
#define U1 4
#define U2 4
#endif
#include <algorithm>

#include "cuda/block/tail.h"
#include "cuda/block/tail_persistent/gate_warps.cuh"
#include "cuda/block/tail_persistent/matrix_warps.cuh"

namespace posemamba::cuda {
namespace {

// No block-wide barrier after the roles part: rings of barriers alone join them.
template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    block_tail_persistent_kernel(const __grid_constant__ CrossArgs c,
                                 const __grid_constant__ pm_block_tail_params a, int rows,
                                 int tiles) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Config::Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  if (thread == 0) {
    shared.weights.init();
    for (int i = 0; i < Config::kBuffers; ++i) {
      barrier_init(shared.gated_full + i, Config::kGateWarps);
      barrier_init(shared.gated_empty + i, kMatrixWarps);
    }
  }
  shared.vectors.copy_from(a.vectors, thread, Config::kThreads);
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  copies_done();
  __syncthreads();  // the barriers and the parameters are there
  constexpr int kCopyWarp = kMatrixWarps + Config::kGateWarps;
  if (warp == kCopyWarp) {  // weights come from no earlier launch
    const int blocks = static_cast<int>(gridDim.x);
    const int mine = (tiles - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
    shared.weights.run_copies(a, mine, lane);
    return;
  }
  dependency_wait();  // the directions, u, z and the residual do
  dependency_release();
  if (warp < kMatrixWarps) {
    typename Config::Weights weights(shared.weights);
    run_matrix_warps<Config>(shared, weights, c, a, rows, tiles, warp, lane);
  } else {
    run_gate_warps<Config>(shared, c, a, rows, tiles, warp - kMatrixWarps, lane);
  }
}

template <class Config>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  int rows = static_cast<int>(params.scan.batch) * scan.steps;
  int tiles = (rows + kTileRows - 1) / kTileRows;
  void* args[] = {&args_of_scan, &copy, &rows, &tiles};
  return launch(reinterpret_cast<const void*>(&block_tail_persistent_kernel<Config>),
                dim3(static_cast<unsigned>(std::min(tiles, device.multiprocessors))),
                dim3(Config::kThreads), args, true, device, stream,
                sizeof(typename Config::Shared));
}

}  // namespace

#ifndef TAIL128
#define TAIL128 128, 7, 5, false
#endif
#ifndef TAIL64
#define TAIL64 64, 7, 5, true
#endif
cudaError_t launch_tail_persistent(const pm_block_tail_params& params, const CrossArgs& scan,
                                   const Device& device, cudaStream_t stream) {
  if (params.d_model == 64) {
    return run<TailPersistentConfig<TAIL64>>(params, scan, device, stream);
  }
  return run<TailPersistentConfig<TAIL128>>(params, scan, device, stream);
}

bool tail_persists(const pm_block_tail_params& params, const Device& device) {
  (void)params, (void)device;
  return false;
}

}  // namespace posemamba::cuda
