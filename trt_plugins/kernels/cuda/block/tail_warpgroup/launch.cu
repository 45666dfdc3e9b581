#include <cstdlib>

#include "cuda/block/tail.h"
#include "cuda/block/tail_warpgroup/kernel.cuh"

namespace posemamba::cuda {
namespace {

template <int D, int Rows, int Warpgroups, int Ring, int Probe = 0>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  void* args[] = {&args_of_scan, &copy};
  return launch(reinterpret_cast<const void*>(&block_tail_warpgroup_kernel<D, Rows, Warpgroups, Ring, Probe>),
                tail_grid(scan.steps, params.scan.batch, Rows), dim3(128 * Warpgroups), args,
                true, device, stream, sizeof(TailWarpgroupShared<D, Rows, Warpgroups>));
}

template <int D, int Rows, bool Pair>
cudaError_t run_staged(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  void* args[] = {&args_of_scan, &copy};
  dim3 grid = tail_grid(scan.steps, params.scan.batch, Rows);
  if (Pair) grid.x = (grid.x + 1) / 2 * 2;
  const void* kernel = Pair ? reinterpret_cast<const void*>(&block_tail_pair_kernel<D, Rows>) : reinterpret_cast<const void*>(&block_tail_warpgroup_kernel<D, Rows, 4, 0, 0>);
  return launch(kernel, grid, dim3(512), args, true, device, stream, (sizeof(TailWarpgroupShared<D, Rows, 4>) + 127) / 128 * 128 + sizeof(WeightSlots<16>));
}

template <int D, int Rows>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  const char* v = std::getenv("PM_TRY");
  const int variant = v ? std::atoi(v) : 0;
  if constexpr (D == 256) return variant == 1 ? run<D, Rows, 4, 8>(params, scan, device, stream) : run<D, Rows, 4, 4>(params, scan, device, stream);
  else {
  if (variant == 1) return run<D, Rows, 4, 10>(params, scan, device, stream);
  if (variant == 2) return run<D, Rows, 2, 8>(params, scan, device, stream);
  if (variant == 3) return run<D, Rows, 2, 12>(params, scan, device, stream);
  if constexpr (D == 128) {
  if (variant == 4) return run<D, Rows, 4, 12, 1>(params, scan, device, stream);
  if (variant == 5) return run<D, Rows, 4, 12, 2>(params, scan, device, stream);
  if (variant == 7) return run<D, Rows, 4, 12, 8>(params, scan, device, stream);
  if (variant == 8) return run<D, Rows, 4, 12, 16>(params, scan, device, stream);
  if (variant == 9) return run_staged<D, Rows, false>(params, scan, device, stream);
  if (variant == 10) return run_staged<D, Rows, true>(params, scan, device, stream);
  if (variant == 6) return run<D, Rows, 4, 12, 3>(params, scan, device, stream);
 }
  return run<D, Rows, 4, 12>(params, scan, device, stream);
  }
}

template <int D>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  // Few positions: shorter blocks, as long as each has a multiprocessor to itself.
  const dim3 half = tail_grid(scan.steps, params.scan.batch, kTailRows / 2);
  return int64_t{half.x} * half.y <= device.multiprocessors
             ? run<D, kTailRows / 2>(params, scan, device, stream)
             : run<D, kTailRows>(params, scan, device, stream);
}

#ifdef POSEMAMBA_WARPGROUPS  // this file is compiled for sm_90a too
constexpr bool kHasWarpgroups = true;
#else
constexpr bool kHasWarpgroups = false;
#endif

}  // namespace

cudaError_t launch_tail_warpgroups(const pm_block_tail_params& params, const CrossArgs& scan,
                                   const Device& device, cudaStream_t stream) {
  if (params.d_model == 64) return run<64>(params, scan, device, stream);
  if (params.d_model == 128) return run<128>(params, scan, device, stream);
  if (params.d_model == 256) return run<256>(params, scan, device, stream);
  return cudaErrorNotSupported;
}

bool tail_has_warpgroups(const pm_block_tail_params& params, const Device& device) {
  return kHasWarpgroups && device.major == 9 && params.scan.directions == 4 && std::getenv("PM_OLD") == nullptr;
}

}  // namespace posemamba::cuda
