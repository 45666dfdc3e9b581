// Launchers of the fused path's row-wise kernels: a block from its scan on, and the embedding.
#include <algorithm>
#include <initializer_list>

#include "common/validate.h"
#include "cuda/block/block_tail.cuh"
#include "cuda/device/launch.h"
#include "cuda/scan/cross_launch.h"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool on_16_bytes_all(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [](const void* p) { return p != nullptr && on_16_bytes(p); });
}

bool complete(const pm_next_params& next) {
  if (next.xz == nullptr) {
    return next.head_weight != nullptr && next.head_bias != nullptr && next.poses_3d != nullptr;
  }
  return on_16_bytes_all({next.in_proj, next.xz});
}

bool complete(const pm_block_tail_params& p) {
  const pm_cross_scan_params& s = p.scan;
  return s.x_dbl != nullptr && s.dt_weight != nullptr && s.dt_bias != nullptr && s.A != nullptr &&
         s.dtype == PM_FLOAT16 && s.d_inner == 2 * p.d_model && s.x_stride % 8 == 0 &&
         p.z_stride % 8 == 0 && p.z_stride >= s.d_inner &&
         on_16_bytes_all({s.x, p.z, p.vectors, p.out_proj, p.fc1, p.fc2, p.residual, p.stream}) &&
         on_16_bytes(p.position) && complete(p.next);
}

dim3 grid_of(int64_t steps, int64_t batch) {
  return dim3(static_cast<unsigned>((steps + kTailRows - 1) / kTailRows),
              static_cast<unsigned>(batch));
}

template <int D, int Warps>
cudaError_t run_tail(const pm_block_tail_params& params, CrossArgs& scan, const Device& device,
                     cudaStream_t stream) {
  pm_block_tail_params copy = params;
  void* args[] = {&scan, &copy};
  return launch(reinterpret_cast<const void*>(&block_tail_kernel<D, Warps>),
                grid_of(scan.steps, params.scan.batch), dim3(32 * Warps), args, true, device,
                stream, sizeof(TailShared<D>));
}

template <int D>
cudaError_t run_tail(const pm_block_tail_params& params, CrossArgs& scan, const Device& device,
                     cudaStream_t stream) {
  return few_blocks(params.scan.batch, scan.steps, device)
             ? run_tail<D, 16>(params, scan, device, stream)
             : run_tail<D, 8>(params, scan, device, stream);
}

template <int D>
cudaError_t run_embed(const pm_embed_params& params, const Device& device, cudaStream_t stream) {
  pm_embed_params copy = params;
  void* args[] = {&copy};
  return launch(reinterpret_cast<const void*>(&embed_kernel<D>),
                grid_of(params.frames * params.joints, params.batch), dim3(256), args, true, device,
                stream, sizeof(TailShared<D>));
}

bool known_width(int32_t d_model) { return d_model == 64 || d_model == 128 || d_model == 256; }

}  // namespace
}  // namespace posemamba::cuda

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
  if (params->d_model == 64) return run_tail<64>(*params, scan, device, stream);
  if (params->d_model == 128) return run_tail<128>(*params, scan, device, stream);
  return run_tail<256>(*params, scan, device, stream);
}

extern "C" cudaError_t pm_cuda_embed(const pm_embed_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->keypoints_2d == nullptr || params->next_norm == nullptr ||
      !on_16_bytes_all({params->stream, params->weight, params->bias, params->joint_position}) ||
      params->next.xz == nullptr || !complete(params->next) || params->batch < 1 ||
      params->batch > 65535 || params->frames < 1 || params->joints < 1 ||
      params->frames > INT32_MAX / params->joints) {
    return cudaErrorInvalidValue;
  }
  if (!known_width(params->d_model)) return cudaErrorNotSupported;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  if (params->d_model == 64) return run_embed<64>(*params, device, stream);
  if (params->d_model == 128) return run_embed<128>(*params, device, stream);
  return run_embed<256>(*params, device, stream);
}
