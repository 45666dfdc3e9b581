// The persistent tail of d_model 256: gated rows by one kernel, products by another, which walks
// over tiles of 128 positions. Weights and stream fill a multiprocessor, so that gate warps have no
// room beside the matrix warps.
#include <algorithm>

#include "cuda/block/tail_persistent/core_stages.cuh"
#include "cuda/block/tail_persistent/wide.h"
#include "cuda/block/tail_persistent/wide_warps.cuh"

namespace posemamba::cuda {
namespace {

template <class Config>
__device__ __forceinline__ void run_tail(const CrossArgs& c, const pm_block_tail_params& a,
                                         const Positions& positions, int tiles,
                                         const unsigned char* stages) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Config::Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = __shfl_sync(~0u, thread / 32, 0);  // from one lane: the same in all
  const int lane = thread % 32;
  if (thread == 0) {
    for (uint64_t& group : shared.group) barrier_init(&group, 4 * kWarpArrivals);
    shared.weights.init();
  }
  shared.vectors.copy_from(a.vectors, thread, Config::kThreads);
  copies_done();
  __syncthreads();  // the barriers and the parameters are there
  if constexpr (Config::kPaired) pair_meets();
  dependency_wait();  // gated rows, the residual and the weights' stages come from earlier launches
  dependency_release();
  if (warp < Config::kWarps) {
    if constexpr (Config::kHands) take_registers<Config::kMatrixRegisters>();
    run_wide_warps<Config>(shared, c, a, positions, tiles, warp, lane);
  } else {
    if constexpr (Config::kHands) leave_registers<Config::kCopyRegisters>();
    const int blocks = static_cast<int>(gridDim.x);
    const int mine = (tiles - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
    if (warp == Config::kWarps) {
      run_wide_copies<Config>(shared, stages, WeightStage<Config::kWidth>::count(a), mine, c, a, positions, tiles - 1 - static_cast<int>(blockIdx.x), lane);
    }
  }
  if constexpr (Config::kPaired) {
    __syncwarp();
    pair_meets();  // nothing comes from the other block any more
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1) __cluster_dims__(Config::kPaired ? 2 : 1)
    block_tail_wide_kernel(const __grid_constant__ CrossArgs c,
                           const __grid_constant__ pm_block_tail_params a,
                           const __grid_constant__ Positions positions, int tiles,
                           const unsigned char* stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  run_tail<Config>(c, a, positions, tiles, stages);
#endif
}

template <int Warps, int Blocks>
cudaError_t make_gated(CrossArgs& c, pm_block_tail_params& a, Positions& positions,
                       const Device& device, cudaStream_t stream) {
  void* args[] = {&c, &a, &positions};
  return launch(reinterpret_cast<const void*>(&gated_rows_kernel<256, Warps, Blocks>),
                dim3(static_cast<unsigned>(std::min((positions.rows + Warps - 1) / Warps,
                                                    Blocks * device.multiprocessors))),
                dim3(32 * Warps), args, true, device, stream);
}

template <class Config>
cudaError_t run_as(CrossArgs& c, pm_block_tail_params& a, Positions& positions, void* stages,
                const Device& device, cudaStream_t stream) {
  int tiles = (positions.rows + Config::kRows - 1) / Config::kRows;
  const int most = Config::kPaired ? device.multiprocessors / 2 * 2 : device.multiprocessors;
  if (Config::kPaired) tiles = (tiles + 1) / 2 * 2;  // the last one may be empty
  void* args[] = {&c, &a, &positions, &tiles, &stages};
  return launch(reinterpret_cast<const void*>(&block_tail_wide_kernel<Config>),
                dim3(static_cast<unsigned>(std::min(tiles, most))),
                dim3(Config::kThreads), args, true, device, stream,
                sizeof(typename Config::Shared));
}

template <template <bool> class Config>
cudaError_t run(CrossArgs& c, pm_block_tail_params& a, Positions& positions, void* stages,
                const Device& device, cudaStream_t stream) {
  return a.next.xz == nullptr ? run_as<Config<true>>(c, a, positions, stages, device, stream)
                              : run_as<Config<false>>(c, a, positions, stages, device, stream);
}

template <bool Head>
using Wide = WideTail<2, 4, false, false, Head>;
template <bool Head>
using Paired = WideTail<2, 4, true, false, Head>;
template <bool Head>
using Half = WideTail<1, 4, false, false, Head>;
template <bool Head>
using WideAhead = WideTail<2, 4, false, true, Head>;
template <bool Head>
using PairedAhead = WideTail<2, 4, true, true, Head>;
template <bool Head>
using HalfPaired = WideTail<1, 4, true, false, Head>;
static_assert(kCoreBytes<256> <= scan_front_bytes(512),
              "room in the workspace");

}  // namespace

int wide_variant = 0;

cudaError_t launch_tail_wide(const pm_block_tail_params& params, const CrossArgs& scan,
                             void* workspace, const Device& device, cudaStream_t stream) {
  cudaError_t error = write_core_stages<256>(params, workspace, device, stream);
  pm_block_tail_params a = params;
  CrossArgs c = scan;
  Positions positions(static_cast<int>(params.scan.batch) * scan.steps, scan.steps, scan.joints);
  const int v = wide_variant;
  if (error == cudaSuccess && v % 10 == 0) error = make_gated<4, 4>(c, a, positions, device, stream);
  if (error == cudaSuccess && v % 10 == 1) error = make_gated<4, 5>(c, a, positions, device, stream);
  if (error == cudaSuccess && v % 10 == 2) error = make_gated<8, 2>(c, a, positions, device, stream);
  if (error == cudaSuccess && v % 10 == 3) error = make_gated<2, 10>(c, a, positions, device, stream);
  if (error == cudaSuccess && v % 10 == 4) error = make_gated<16, 1>(c, a, positions, device, stream);
  const int w = v / 10;
  if (error == cudaSuccess && w == 0) error = run<Wide>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 1) error = run<Paired>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 2) error = run<Half>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 3) error = run<HalfPaired>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 4) error = run<WideAhead>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 5) error = run<PairedAhead>(c, a, positions, workspace, device, stream);
  if (error == cudaSuccess && w == 6) error = cudaSuccess;
  return error;
}

std::size_t wide_shared_bytes() { return sizeof(Wide<false>::Shared); }

}  // namespace posemamba::cuda
