// Launchers of the fused path's row-wise kernels: a block from its scan on, and the embedding.
#include "common/validate.h"
#include "cuda/block_tail.cuh"
#include "cuda/cross_launch.h"
#include "cuda/launch.h"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {
namespace {

bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool complete(const pm_norm& norm) {
  return norm.gamma != nullptr && norm.beta != nullptr && norm.epsilon >= 0.0f;
}

bool complete(const pm_next_params& next) {
  if (!complete(next.norm)) return false;
  if (next.xz == nullptr) {
    return next.head_weight != nullptr && next.head_bias != nullptr && next.poses_3d != nullptr;
  }
  return next.in_proj != nullptr && on_16_bytes(next.in_proj) && on_16_bytes(next.xz);
}

bool complete(const pm_block_tail_params& p) {
  const pm_cross_scan_params& s = p.scan;
  return s.x != nullptr && s.x_dbl != nullptr && s.dt_weight != nullptr && s.dt_bias != nullptr &&
         s.A != nullptr && s.D != nullptr && s.dtype == PM_FLOAT16 && s.d_inner == 2 * p.d_model &&
         on_16_bytes(s.x) && s.x_stride % 8 == 0 && p.z != nullptr && on_16_bytes(p.z) &&
         p.z_stride % 4 == 0 && p.z_stride >= s.d_inner && complete(p.out_norm) &&
         complete(p.norm2) && complete(p.shared_norm) && p.out_proj != nullptr &&
         p.fc1 != nullptr && p.fc1_bias != nullptr && p.fc2 != nullptr && p.fc2_bias != nullptr &&
         on_16_bytes(p.out_proj) && on_16_bytes(p.fc1) && on_16_bytes(p.fc2) &&
         p.residual != nullptr && on_16_bytes(p.residual) && p.stream != nullptr &&
         on_16_bytes(p.stream) && complete(p.next);
}

dim3 grid_of(int64_t steps, int64_t batch, int rows) {
  return dim3(static_cast<unsigned>((steps + rows - 1) / rows), static_cast<unsigned>(batch));
}

template <int D, int Groups>
cudaError_t run_tail(const pm_block_tail_params& params, CrossArgs& scan, const Device& device,
                     cudaStream_t stream) {
  pm_block_tail_params copy = params;
  void* args[] = {&scan, &copy};
  const dim3 grid = grid_of(scan.steps, params.scan.batch, kGroupRows * Groups);
  return launch(reinterpret_cast<const void*>(&block_tail_kernel<D, Groups>), grid,
                dim3(kGroupThreads * Groups), args, true, device, stream,
                sizeof(TailShared<D, Groups>));
}

template <int D>
cudaError_t run_tail(const pm_block_tail_params& params, CrossArgs& scan, const Device& device,
                     cudaStream_t stream) {
  const bool wide = two_groups(params.scan.batch, scan.steps, device) &&
                    sizeof(TailShared<D, 2>) <= device.shared_bytes;
  return wide ? run_tail<D, 2>(params, scan, device, stream)
              : run_tail<D, 1>(params, scan, device, stream);
}

template <int D>
cudaError_t run_embed(const pm_embed_params& params, const Device& device, cudaStream_t stream) {
  pm_embed_params copy = params;
  void* args[] = {&copy};
  const dim3 grid = grid_of(params.frames * params.joints, params.batch, kGroupRows);
  return launch(reinterpret_cast<const void*>(&embed_kernel<D>), grid, dim3(kGroupThreads), args,
                true, device, stream, sizeof(TailShared<D, 1>));
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
  if (params == nullptr || params->keypoints_2d == nullptr || params->weight == nullptr ||
      params->bias == nullptr || params->joint_position == nullptr || params->stream == nullptr ||
      !on_16_bytes(params->stream) || params->next.xz == nullptr || !complete(params->next) ||
      params->batch < 1 || params->batch > 65535 || params->frames < 1 || params->joints < 1 ||
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
