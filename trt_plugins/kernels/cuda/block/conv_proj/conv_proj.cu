// Depthwise 3x3 convolution, bias and SiLU, and the x_proj product of what comes out: one launch
// makes both inputs of the scan. fp16, channels last.
#include "cuda/block/conv_proj/designs.h"

namespace posemamba::cuda {
namespace {

bool valid(const pm_conv_proj_params& p) {
  return p.x != nullptr && p.weight != nullptr && p.bias != nullptr && p.projection != nullptr &&
         p.u != nullptr && p.x_dbl != nullptr && p.batch >= 1 && p.batch <= 65535 &&
         p.frames >= 1 && p.joints >= 1 && p.columns >= 16 && p.columns % 16 == 0 &&
         p.x_stride >= p.channels && p.x_stride % 8 == 0 && p.frames <= INT32_MAX / p.joints / 2 &&
         reinterpret_cast<uintptr_t>(p.x) % 16 == 0;
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_conv_proj(const pm_conv_proj_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || !valid(*params)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  return conv_proj_persists(*params, device) ? launch_conv_proj_persistent(*params, device, stream)
                                             : launch_conv_proj_single(*params, device, stream);
}
