#include "cuda/block/tail.h"
#include "cuda/block/tail_single/kernel.cuh"

namespace posemamba::cuda {
namespace {

template <int D, int Warps, int Rows>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  void* args[] = {&args_of_scan, &copy};
  return launch(reinterpret_cast<const void*>(&block_tail_kernel<D, Warps, Rows>),
                tail_grid(scan.steps, params.scan.batch, Rows), dim3(32 * Warps), args, true,
                device, stream, sizeof(TailShared<D, Rows>));
}

template <int D>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  // Few positions: shorter blocks, as long as each has a multiprocessor to itself.
  const dim3 half = tail_grid(scan.steps, params.scan.batch, kTailRows / 2);
  if (int64_t{half.x} * half.y <= device.multiprocessors) {
    return run<D, 16, kTailRows / 2>(params, scan, device, stream);
  }
  return few_blocks(params.scan.batch, scan.steps, device)
             ? run<D, 16, kTailRows>(params, scan, device, stream)
             : run<D, 8, kTailRows>(params, scan, device, stream);
}

}  // namespace

cudaError_t launch_tail_single(const pm_block_tail_params& params, const CrossArgs& scan,
                               const Device& device, cudaStream_t stream) {
  if (params.d_model == 64) return run<64>(params, scan, device, stream);
  if (params.d_model == 128) return run<128>(params, scan, device, stream);
  if (params.d_model == 256) return run<256>(params, scan, device, stream);
  return cudaErrorNotSupported;
}

}  // namespace posemamba::cuda
