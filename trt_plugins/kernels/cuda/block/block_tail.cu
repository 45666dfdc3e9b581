// Launcher of a block from the inputs of its scan on: the scan, then its tail in one of two
// designs.
#include "common/validate.h"
#include "cuda/block/complete.h"
#include "cuda/block/tail.h"
#include "cuda/scan/cross_launch.h"

extern "C" cudaError_t pm_cuda_block_tail(const pm_block_tail_params* params, void* workspace,
                                          cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr) return cudaErrorInvalidValue;
  const pm_status status = posemamba::validate_layout(&params->scan);
  if (status != PM_OK) return error_of(status);
  if (!known_width(params->d_model)) return cudaErrorNotSupported;
  if (!complete(*params)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  CrossArgs scan;
  const cudaError_t error =
      launch_cross_scan(params->scan, nullptr, workspace, device, stream, &scan);
  if (error != cudaSuccess) return error;
  return tail_persists(*params, device) ? launch_tail_persistent(*params, scan, device, stream)
                                        : launch_tail_single(*params, scan, device, stream);
}
