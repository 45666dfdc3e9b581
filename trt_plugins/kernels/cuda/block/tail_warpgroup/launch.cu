#include "cuda/block/tail.h"
#include "cuda/block/tail_warpgroup/kernel.cuh"

namespace posemamba::cuda {
namespace {

template <int D, int Rows>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  void* args[] = {&args_of_scan, &copy};
  return launch(reinterpret_cast<const void*>(&block_tail_warpgroup_kernel<D, Rows>),
                tail_grid(scan.steps, params.scan.batch, Rows), dim3(32 * kTailWarps), args, true,
                device, stream, sizeof(TailWarpgroupShared<D, Rows>));
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

}  // namespace

cudaError_t launch_tail_warpgroups(const pm_block_tail_params& params, const CrossArgs& scan,
                                   const Device& device, cudaStream_t stream) {
  if (params.d_model == 64) return run<64>(params, scan, device, stream);
  if (params.d_model == 128) return run<128>(params, scan, device, stream);
  return cudaErrorNotSupported;
}

bool tail_has_warpgroups(const pm_block_tail_params& params, const Device& device) {
  return kHasWarpgroups && device.major == 9 && params.scan.directions == 4 &&
         (params.d_model == 64 || params.d_model == 128);
}

}  // namespace posemamba::cuda
