// Depthwise 3x3 convolution, bias and SiLU, and the x_proj product of what comes out: one launch
// makes both inputs of the scan. fp16, channels last.
#include "cuda/block/complete.h"
#include "cuda/block/conv_proj/designs.h"

extern "C" cudaError_t pm_cuda_conv_proj(const pm_conv_proj_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || !complete(*params)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  if (conv_proj_parts(*params, device)) return launch_conv_proj_parted(*params, device, stream);
  return conv_proj_persists(*params, device) ? launch_conv_proj_persistent(*params, device, stream)
                                             : launch_conv_proj_single(*params, device, stream);
}
