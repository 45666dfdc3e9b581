// The persistent tail of d_model 256: one kernel makes the gated rows, another walks over tiles of
// 128 positions with the products. Stream, operands and weights fill a multiprocessor, so gate
// warps have no room beside the matrix warps.
#include <algorithm>

#include "cuda/block/tail_persistent/apart.h"
#include "cuda/block/tail_persistent/apart_warps.cuh"
#include "cuda/block/tail_persistent/core_stages.cuh"
#include "cuda/block/tail_persistent/stream_poses.cuh"

namespace posemamba::cuda {
namespace {

constexpr int D = TailApart::kWidth;
static_assert(kCoreBytes<D> <= scan_front_bytes(2 * D), "room in the workspace");

template <class Config>
__device__ __forceinline__ void run_tail(const CrossArgs& c, const pm_block_tail_params& a,
                                         const Positions& positions, int tiles,
                                         const unsigned char* stages) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Config::Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = warp_of_thread();
  if (thread == 0) {
    for (uint64_t& group : shared.group) barrier_init(&group, 4 * kWarpArrivals);
    shared.weights.init();
  }
  shared.vectors.copy_from(a.vectors, thread, Config::kThreads);
  copies_done();
  __syncthreads();    // the barriers and the parameters are there
  dependency_wait();  // gated rows, the residual and the stages come from earlier launches
  dependency_release();
  if (warp < kMatrixWarps) {
    take_registers<Config::kMatrixRegisters>();
    run_warps_apart(shared, c, a, positions, tiles, warp);
  } else {
    leave_registers<Config::kCopyRegisters>();
    if (thread != 32 * kMatrixWarps) return;
    const int blocks = static_cast<int>(gridDim.x);
    const int mine = (tiles - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
    shared.weights.run_copies(stages, WeightStage<D>::count(a), mine);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    block_tail_apart_kernel(const __grid_constant__ CrossArgs c,
                            const __grid_constant__ pm_block_tail_params a,
                            const __grid_constant__ Positions positions, int tiles,
                            const unsigned char* stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  run_tail<Config>(c, a, positions, tiles, stages);
#endif
}

dim3 grid_of(int64_t units, int64_t most) {
  return dim3(static_cast<unsigned>(std::min(units, most)));
}

}  // namespace

cudaError_t launch_tail_apart(const pm_block_tail_params& params, const CrossArgs& scan,
                              void* workspace, const Device& device, cudaStream_t stream) {
  pm_block_tail_params a = params;
  CrossArgs c = scan;
  Positions positions = positions_of(params, scan);
  int tiles = static_cast<int>(divide_up(positions.rows, kTileRows));
  cudaError_t error = write_core_stages<D>(params, workspace, device, stream);
  if (error != cudaSuccess) return error;

  void* gated_args[] = {&c, &a, &positions};
  error = launch(reinterpret_cast<const void*>(&gated_rows_kernel<D>),
                 grid_of(divide_up(positions.rows, kGatedWarps), device.multiprocessors),
                 dim3(32 * kGatedWarps), gated_args, true, device, stream);
  if (error != cudaSuccess) return error;

  void* tail_args[] = {&c, &a, &positions, &tiles, &workspace};
  error = launch(reinterpret_cast<const void*>(&block_tail_apart_kernel<TailApart>),
                 grid_of(tiles, device.multiprocessors), dim3(TailApart::kThreads), tail_args, true,
                 device, stream, sizeof(TailApart::Shared));
  if (error != cudaSuccess || params.next.xz != nullptr) return error;

  void* pose_args[] = {&a, &positions.rows};
  const int64_t blocks = divide_up(positions.rows, kPoseWarps);
  return launch(reinterpret_cast<const void*>(&stream_poses_kernel<D>), grid_of(blocks, blocks),
                dim3(32 * kPoseWarps), pose_args, true, device, stream);
}

std::size_t tail_apart_shared_bytes() { return sizeof(TailApart::Shared); }

}  // namespace posemamba::cuda
