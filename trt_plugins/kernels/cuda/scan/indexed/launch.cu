#include "cuda/device/start.h"
#include "cuda/scan/indexed/kernel.cuh"
#include "cuda/scan/indexed/launch.h"

namespace posemamba::cuda::indexed {
namespace {

template <typename T>
GroupLaunch<Args> launch_of(int32_t d_state, int32_t dt_rank) {
  return with_group(d_state, [&](auto group) {
    using Group = typename decltype(group)::type;
    return GroupLaunch<Args>{&scan_kernel<Group, T>, shared_bytes<Group>(dt_rank),
                             Group::kChannels};
  });
}

GroupLaunch<Args> launch_of(const pm_indexed_scan_params& p) {
  return p.dtype == PM_FLOAT16 ? launch_of<__half>(p.d_state, p.dt_rank)
                               : launch_of<float>(p.d_state, p.dt_rank);
}

int64_t blocks_per_row(const pm_indexed_scan_params& p) {
  const int channels = launch_of(p).channels;
  return (p.d_inner + channels - 1) / channels;
}

int64_t outputs_of(const pm_indexed_scan_params& p) { return p.batch * p.positions * p.d_inner; }

int64_t merge_blocks(const pm_indexed_scan_params& p) {
  return (outputs_of(p) + kGroupThreads - 1) / kGroupThreads;
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
  a.blocks_per_row = static_cast<int>(blocks_per_row(p)), a.outputs = outputs_of(p);
  return a;
}

}  // namespace

// The grid's first dimension counts blocks.
bool supported(const pm_indexed_scan_params& p) {
  return p.batch <= INT32_MAX / (p.directions * blocks_per_row(p)) && merge_blocks(p) <= INT32_MAX;
}

std::size_t workspace_bytes(const pm_indexed_scan_params& p) {
  return align_up(sizeof(float) * static_cast<std::size_t>(p.batch * p.directions) *
                  static_cast<std::size_t>(p.positions * p.d_inner));
}

cudaError_t run(const pm_indexed_scan_params& p, void* workspace, const Device& device,
                cudaStream_t stream) {
  const Args a = args_of(p, workspace);
  const auto scan = launch_of(p);
  cudaError_t error = cudaMemsetAsync(workspace, 0, workspace_bytes(p), stream);
  if (error != cudaSuccess) return error;
  const int64_t blocks = p.batch * p.directions * int64_t{a.blocks_per_row};
  error = start(scan.kernel, blocks, kGroupThreads, a, device, stream, scan.shared);
  if (error != cudaSuccess) return error;
  const auto merge = p.dtype == PM_FLOAT16 ? &merge_kernel<__half> : &merge_kernel<float>;
  return start(merge, merge_blocks(p), kGroupThreads, a, device, stream);
}

}  // namespace posemamba::cuda::indexed
