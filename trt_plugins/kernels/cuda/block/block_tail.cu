// Launchers of a block: from the inputs of its scan on, the scan and then its tail in one of four
// designs; or from the convolution on.
#include "common/validate.h"
#include "cuda/block/complete.h"
#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/tail.h"
#include "cuda/scan/cross_launch.h"

namespace posemamba::cuda {
namespace {

cudaError_t check(const pm_block_tail_params* params) {
  if (params == nullptr) return cudaErrorInvalidValue;
  const pm_status status = validate_layout(&params->scan);
  if (status != PM_OK) return error_of(status);
  if (!pm_fused_width(params->d_model)) return cudaErrorNotSupported;
  return complete(*params) ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace

TailDesign choose_tail(const pm_block_tail_params& params, const Device& device) {
  const pm_cross_scan_params& s = params.scan;
  if (tail_persists(params, device)) return TailDesign::kPersistent;
  if (tail_has_clusters(params, device)) return TailDesign::kClusters;
  // Of warpgroups an SM has one block.
  return tail_has_warpgroups(params, device) && few_blocks(s.batch, s.frames * s.joints, device)
             ? TailDesign::kWarpgroups
             : TailDesign::kSingle;
}

cudaError_t launch_tail(const pm_block_tail_params& params, const CrossArgs& scan, void* workspace,
                        const Device& device, cudaStream_t stream) {
  switch (choose_tail(params, device)) {
    case TailDesign::kPersistent:
      return launch_tail_persistent(params, scan, workspace, device, stream);
    case TailDesign::kClusters:
      return launch_tail_clusters(params, scan, device, stream);
    case TailDesign::kWarpgroups:
      return launch_tail_warpgroups(params, scan, device, stream);
    case TailDesign::kSingle:
      break;
  }
  return launch_tail_single(params, scan, device, stream);
}

}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_block_tail(const pm_block_tail_params* params, void* workspace,
                                          cudaStream_t stream) {
  using namespace posemamba::cuda;
  cudaError_t error = check(params);
  if (error != cudaSuccess) return error;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  CrossArgs scan;
  error = launch_cross_scan(params->scan, nullptr, workspace, device, stream, &scan);
  return error != cudaSuccess ? error : launch_tail(*params, scan, workspace, device, stream);
}

extern "C" cudaError_t pm_cuda_block(const pm_conv_proj_params* conv,
                                     const pm_block_tail_params* tail, void* workspace,
                                     cudaStream_t stream) {
  using namespace posemamba::cuda;
  cudaError_t error = check(tail);
  if (error != cudaSuccess) return error;
  if (conv == nullptr || !complete(*conv) || !joined(*conv, tail->scan)) {
    return cudaErrorInvalidValue;
  }
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  // Where blocks of few frames would take turns, one design with all weights in shared memory is
  // faster (measured); 512 channels have none, and take turns.
  const bool walks = conv_proj_walks(tail->scan, device);
  const bool few =
      walks ? conv_proj_prepares_at_once(*conv, device) : conv_proj_prepares(*conv, device);
  PreparedScan plan;
  if ((!few && !walks) || !plan_prepared_scan(tail->scan, workspace, device, &plan)) {
    error = pm_cuda_conv_proj(conv, stream);
    return error != cudaSuccess ? error : pm_cuda_block_tail(tail, workspace, stream);
  }
  error = few ? launch_conv_proj_prepared(*conv, plan.args, plan.prepared, device, stream)
              : launch_conv_proj_walked(*conv, plan.args, plan.prepared, device, stream);
  if (error != cudaSuccess) return error;
  error = launch_prepared_scan(tail->scan, device, stream, &plan);
  return error != cudaSuccess ? error : launch_tail(*tail, plan.args, workspace, device, stream);
}
