// Launcher of SelectiveScan, version 2.
#include "common/validate.h"
#include "cuda/device/start.h"
#include "cuda/scan/stateful/kernel.cuh"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda::stateful {
namespace {

// A launch needs no workspace; this keeps 0 for "invalid".
constexpr std::size_t kWorkspace = 256;

bool is_default(const pm_cuda_tuning* tuning) {
  return tuning == nullptr || (tuning->variant == 0 && tuning->chunks == 0 && tuning->config == 0);
}

template <typename T>
GroupLaunch<Args> launch_of(int32_t d_state) {
  return with_group(d_state, [](auto group) {
    using Group = typename decltype(group)::type;
    return GroupLaunch<Args>{&scan_kernel<Group, T>, 0, Group::kChannels};
  });
}

GroupLaunch<Args> launch_of(const pm_scan_params& p) {
  return p.dtype == PM_FLOAT16 ? launch_of<__half>(p.d_state) : launch_of<float>(p.d_state);
}

int64_t blocks_per_row(const pm_scan_params& p) {
  const int channels = launch_of(p).channels;
  return (p.channels + channels - 1) / channels;
}

// Step numbers are 32 bits wide; the grid's first dimension counts blocks.
bool supported(const pm_scan_params& p) {
  return p.length <= INT32_MAX / 2 && p.batch <= INT32_MAX / (p.groups * blocks_per_row(p));
}

}  // namespace
}  // namespace posemamba::cuda::stateful

extern "C" size_t pm_cuda_stateful_scan_workspace_limit(const pm_stateful_scan_params* largest) {
  using namespace posemamba::cuda::stateful;
  if (posemamba::validate_layout(largest) != PM_OK || !supported(largest->scan)) return 0;
  return kWorkspace;
}

extern "C" size_t pm_cuda_stateful_scan_workspace(const pm_stateful_scan_params* params,
                                                  const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  if (!stateful::is_default(tuning) || current_device().multiprocessors == 0) return 0;
  return pm_cuda_stateful_scan_workspace_limit(params);
}

extern "C" cudaError_t pm_cuda_stateful_scan(const pm_stateful_scan_params* params,
                                             const pm_cuda_tuning* tuning, void*,
                                             cudaStream_t stream) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::stateful;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  const pm_scan_params& p = params->scan;
  if (!supported(p)) return cudaErrorNotSupported;
  if (!is_default(tuning)) return cudaErrorInvalidValue;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  const Args a{sequence_args_of(p), params->initial_state, params->final_state,
               static_cast<int>(blocks_per_row(p))};
  return start(launch_of(p).kernel, p.batch * p.groups * int64_t{a.blocks_per_row}, kGroupThreads,
               a, device, stream);
}
