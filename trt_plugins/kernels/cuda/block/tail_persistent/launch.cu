// One thread block a multiprocessor walks over tiles of 128 positions, taken from the batch as one
// list. Gate warps make the rows of the next tile while matrix warps multiply those of this one;
// weights stream through shared memory, once a tile. For batches, where tail_single would read the
// weights from the L2 for every 32 positions.
#include <algorithm>

#include "cuda/block/tail.h"
#include "cuda/block/tail_persistent/apart.h"
#include "cuda/block/tail_persistent/core_stages.cuh"
#include "cuda/block/tail_persistent/gate_warps.cuh"
#include "cuda/block/tail_persistent/matrix_warps.cuh"
#include "cuda/block/wgmma.cuh"

namespace posemamba::cuda {
namespace {

// No block-wide barrier after the roles part: pairs of barriers join them, see Shared.
template <class Config>
__device__ __forceinline__ void run_tail(const CrossArgs& c, const pm_block_tail_params& a,
                                         const Positions& positions, int tiles,
                                         const unsigned char* stages) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Config::Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = warp_of_thread();
  const int lane = thread % 32;
  if (thread == 0) {
    shared.weights.init();
    for (int i = 0; i < Config::kBuffers; ++i) {
      barrier_init(shared.gated_full + i, Config::kGateWarps * kWarpArrivals);
      barrier_init(shared.gated_empty + i, kMatrixWarps * kWarpArrivals);
    }
  }
  shared.vectors.copy_from(a.vectors, thread, Config::kThreads);
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  copies_done();
  __syncthreads();  // the barriers and the parameters are there
  const int blocks = static_cast<int>(gridDim.x);
  const int mine = (tiles - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
  if (warp < kMatrixWarps) {
    if constexpr (Config::kHands) take_registers<Config::kMatrixRegisters>();
    dependency_wait();  // the residual comes from an earlier launch, so may the weights' stages
    dependency_release();
    typename Config::Weights weights(shared.weights, stages, WeightStage<Config::kWidth>::count(a),
                                     mine, warp, lane);
    run_matrix_warps<Config>(shared, weights, c, a, positions.rows, tiles, warp, lane);
  } else {
    if constexpr (Config::kHands) leave_registers<Config::kGateRegisters>();
    if constexpr (!Config::kWarpgroups) {
      if (warp == kMatrixWarps + Config::kGateWarps) {
        shared.weights.run_copies(a, mine, lane);
        return;
      }
    }
    dependency_wait();  // the directions, u and z come from earlier launches
    dependency_release();
    run_gate_warps<Config>(shared, c, a, positions, tiles, warp - kMatrixWarps, lane);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    block_tail_persistent_kernel(const __grid_constant__ CrossArgs c,
                                 const __grid_constant__ pm_block_tail_params a,
                                 const __grid_constant__ Positions positions, int tiles,
                                 const unsigned char* stages) {
#if !defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (!Config::kWarpgroups)  // see tail_can_persist
#endif
    run_tail<Config>(c, a, positions, tiles, stages);
}

// `stages`: of the workspace, where the products want core matrices.
template <class Config>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, void* stages,
                const Device& device, cudaStream_t stream) {
  if constexpr (Config::kWarpgroups) {
    const cudaError_t error = write_core_stages<Config::kWidth>(params, stages, device, stream);
    if (error != cudaSuccess) return error;
  }
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  Positions positions = positions_of(params, scan);
  int tiles = static_cast<int>(divide_up(positions.rows, kTileRows));
  void* args[] = {&args_of_scan, &copy, &positions, &tiles, &stages};
  return launch(reinterpret_cast<const void*>(&block_tail_persistent_kernel<Config>),
                dim3(static_cast<unsigned>(std::min(tiles, device.multiprocessors))),
                dim3(Config::kThreads), args, true, device, stream,
                sizeof(typename Config::Shared));
}

using NarrowTiles = TailPersistentConfig<64, false, 8>;
using Narrow = TailPersistentConfig<64, true, 8>;
using Wide = TailPersistentConfig<128, true, 5>;
static_assert(kCoreBytes<Narrow::kWidth> <= scan_front_bytes(2 * Narrow::kWidth) &&
                  kCoreBytes<Wide::kWidth> <= scan_front_bytes(2 * Wide::kWidth),
              "room in the workspace");

bool has_warpgroups(const Device& device) { return kHasWarpgroups && device.major == 9; }

// What a width needs, and from which percentage of busy multiprocessors on it is the faster design
// (docs/design/block.md). No shared memory: there is none for it.
struct Limits {
  std::size_t shared;
  int percent;
};

Limits limits_of(int32_t d_model, const Device& device) {
  const bool warpgroups = has_warpgroups(device);
  if (d_model == 128 && warpgroups) return {sizeof(Wide::Shared), 62};
  if (d_model == 64 && warpgroups) return {sizeof(Narrow::Shared), 54};
  if (d_model == 64) return {sizeof(NarrowTiles::Shared), 68};
  if (d_model == 256 && warpgroups) return {tail_apart_shared_bytes(), 41};
  return {0, 0};
}

}  // namespace

cudaError_t launch_tail_persistent(const pm_block_tail_params& params, const CrossArgs& scan,
                                   void* workspace, const Device& device, cudaStream_t stream) {
  if (params.d_model == 64) {
    return has_warpgroups(device) ? run<Narrow>(params, scan, workspace, device, stream)
                                  : run<NarrowTiles>(params, scan, nullptr, device, stream);
  }
  if (params.d_model == 128) return run<Wide>(params, scan, workspace, device, stream);
  if (params.d_model == 256) return launch_tail_apart(params, scan, workspace, device, stream);
  return cudaErrorNotSupported;
}

bool tail_can_persist(const pm_block_tail_params& params, const Device& device) {
  const pm_cross_scan_params& s = params.scan;
  const std::size_t shared = limits_of(params.d_model, device).shared;
  return shared > 0 && shared <= device.shared_bytes && s.directions == 4 &&
         s.batch * s.frames * s.joints <= INT32_MAX / 8;
}

// The last round of tiles costs as much as a full one, and the first rows are made before any
// product: a quarter of a round. What counts is how many multiprocessors are busy on average.
bool tail_persists(const pm_block_tail_params& params, const Device& device) {
  if (!tail_can_persist(params, device)) return false;
  const pm_cross_scan_params& s = params.scan;
  const int64_t tiles = divide_up(s.batch * s.frames * s.joints, kTileRows);
  const int64_t quarters = 4 * divide_up(tiles, device.multiprocessors) + 1;
  return tiles * 400 >=
         quarters * device.multiprocessors * limits_of(params.d_model, device).percent;
}

}  // namespace posemamba::cuda
