// Launcher of CrossSelectiveScan, version 2.
#include "common/validate.h"
#include "cuda/scan/indexed/kernel.cuh"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda::indexed {
namespace {

bool is_default(const pm_cuda_tuning* tuning) {
  return tuning == nullptr || (tuning->variant == 0 && tuning->chunks == 0 && tuning->config == 0);
}

template <typename T>
GroupLaunch launch_of(int32_t d_state, int32_t dt_rank) {
  return with_group(d_state, [&](auto group) {
    using Group = typename decltype(group)::type;
    const auto function = reinterpret_cast<const void*>(&scan_kernel<Group, T>);
    return GroupLaunch{{function, shared_bytes<Group>(dt_rank)}, Group::kChannels};
  });
}

GroupLaunch launch_of(const pm_indexed_scan_params& p) {
  return p.dtype == PM_FLOAT16 ? launch_of<__half>(p.d_state, p.dt_rank)
                               : launch_of<float>(p.d_state, p.dt_rank);
}

int64_t blocks_per_row(const pm_indexed_scan_params& p) {
  const int channels = launch_of(p).channels;
  return (p.d_inner + channels - 1) / channels;
}

int64_t merge_blocks(const pm_indexed_scan_params& p) {
  return (p.batch * p.positions * p.d_inner + kGroupThreads - 1) / kGroupThreads;
}

// The grid's first dimension counts blocks.
bool supported(const pm_indexed_scan_params& p) {
  return p.batch <= INT32_MAX / (p.directions * blocks_per_row(p)) && merge_blocks(p) <= INT32_MAX;
}

std::size_t partial_bytes(const pm_indexed_scan_params& p) {
  return sizeof(float) * static_cast<std::size_t>(p.batch * p.directions) *
         static_cast<std::size_t>(p.positions * p.d_inner);
}

Args args_of(const pm_indexed_scan_params& p, void* workspace) {
  Args a{};
  a.x = p.x, a.x_dbl = p.x_dbl, a.dt_weight = p.dt_weight, a.dt_bias = p.dt_bias;
  a.A = p.A, a.D = p.D, a.y = p.y;
  a.scan_index = p.scan_index, a.neighbour_index = p.neighbour_index,
  a.reset_length = p.reset_length;
  a.partial = static_cast<float*>(workspace);
  a.x_stride = p.x_stride, a.x_dbl_stride = p.x_dbl_stride, a.y_stride = p.y_stride;
  a.positions = static_cast<int>(p.positions), a.steps = static_cast<int>(p.steps);
  a.d_inner = p.d_inner, a.d_state = p.d_state, a.dt_rank = p.dt_rank;
  a.directions = p.directions;
  a.blocks_per_row = static_cast<int>(blocks_per_row(p));
  return a;
}

}  // namespace
}  // namespace posemamba::cuda::indexed

extern "C" size_t pm_cuda_indexed_scan_workspace_limit(const pm_indexed_scan_params* largest) {
  using namespace posemamba::cuda::indexed;
  if (posemamba::validate_layout(largest) != PM_OK || !supported(*largest)) return 0;
  return posemamba::cuda::align_up(partial_bytes(*largest));
}

extern "C" size_t pm_cuda_indexed_scan_workspace(const pm_indexed_scan_params* params,
                                                 const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  if (!indexed::is_default(tuning) || current_device().multiprocessors == 0) return 0;
  return pm_cuda_indexed_scan_workspace_limit(params);
}

extern "C" cudaError_t pm_cuda_indexed_scan(const pm_indexed_scan_params* params,
                                            const pm_cuda_tuning* tuning, void* workspace,
                                            cudaStream_t stream) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::indexed;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  const pm_indexed_scan_params& p = *params;
  if (!supported(p)) return cudaErrorNotSupported;
  if (workspace == nullptr || !is_default(tuning)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;

  Args a = args_of(p, workspace);
  const Kernel kernel = launch_of(p).kernel;
  cudaError_t error = cudaMemsetAsync(workspace, 0, partial_bytes(p), stream);
  if (error != cudaSuccess) return error;
  const auto blocks = static_cast<unsigned>(p.batch * p.directions * int64_t{a.blocks_per_row});
  void* scan_args[] = {&a};
  error = launch(kernel.function, dim3(blocks), dim3(kGroupThreads), scan_args, false, device,
                 stream, kernel.shared);
  if (error != cudaSuccess) return error;
  const void* merge = p.dtype == PM_FLOAT16 ? reinterpret_cast<const void*>(&merge_kernel<__half>)
                                            : reinterpret_cast<const void*>(&merge_kernel<float>);
  int64_t elements = p.batch * p.positions * p.d_inner;
  void* merge_args[] = {&a, &elements};
  return launch(merge, dim3(static_cast<unsigned>(merge_blocks(p))), dim3(kGroupThreads),
                merge_args, false, device, stream);
}
