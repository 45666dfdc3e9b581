// Launcher of the generic SelectiveScan: lanes along the sequence, or the chunked design in one
// scan launch, or in two over chunks.
#include <algorithm>

#include "common/validate.h"
#include "cuda/device/launch.h"
#include "cuda/scan/along_time/launch.h"
#include "cuda/scan/chunked/kernels.h"
#include "cuda/scan/chunked/plan.h"
#include "cuda/scan/selective_scan.cuh"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {
namespace {

struct Layout {
  std::size_t state;  // bytes of each part
  std::size_t dt_sum;

  // A serial launch needs no workspace; 256 keeps 0 for "invalid".
  std::size_t total() const { return std::max<std::size_t>(state + dt_sum, 256); }
};

bool supported(const pm_scan_params& p) {
  // Step numbers and channel numbers are 32 bits wide; the grid's first dimension counts blocks.
  return p.length <= INT32_MAX / 2 && p.channels % 8 == 0 &&
         p.batch * p.groups * (p.channels / 8) <= INT32_MAX;
}

Problem problem_of(const pm_scan_params& p) {
  return {p.batch * p.groups, p.channels, static_cast<int32_t>(p.length), p.d_state, false};
}

// Whether lanes go along the sequence; a plan is the chunked design's.
bool along_time_of(const pm_scan_params& p, const pm_cuda_tuning* tuning, const Device& device) {
  const pm_cuda_tuning ask = tuning == nullptr ? pm_cuda_tuning{} : *tuning;
  if (ask.chunks > 1 || ask.chunks < 0) return false;
  if (ask.config == 0) {
    return ask.variant == PM_CUDA_AUTO && ask.chunks == 0 && along_time::wins(p, device);
  }
  return ask.config == along_time::kConfig && along_time::fits(p) &&
         (ask.variant == PM_CUDA_AUTO || ask.variant == PM_CUDA_SERIAL);
}

Plan plan_of(const pm_scan_params& p, const pm_cuda_tuning* tuning, const Device& device) {
  return make_plan(problem_of(p), tuning, device.multiprocessors);
}

Layout layout_of(const pm_scan_params& p, const Plan& plan) {
  if (plan.chunks <= 1) return {0, 0};
  const std::size_t carried =
      static_cast<std::size_t>(p.batch) * static_cast<std::size_t>(p.groups) *
      static_cast<std::size_t>(plan.chunks) * static_cast<std::size_t>(plan.channels());
  return {align_up(carried * static_cast<std::size_t>(plan.states) * sizeof(float)),
          align_up(carried * sizeof(float))};
}

ScanArgs args_of(const pm_scan_params& p, const Plan& plan, const Layout& layout, void* workspace) {
  auto* bytes = static_cast<unsigned char*>(workspace);
  ScanArgs a{};
  static_cast<SequenceArgs&>(a) = sequence_args_of(p);
  a.carry.state = reinterpret_cast<float*>(bytes);
  a.carry.dt_sum = reinterpret_cast<float*>(bytes + layout.state);
  a.carry.chunks = plan.chunks, a.carry.channels = plan.channels();
  a.blocks_per_row = plan.blocks_per_row, a.chunk_steps = plan.chunk_steps;
  a.first_steps = plan.first_steps;
  return a;
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" size_t pm_cuda_scan_workspace(const pm_scan_params* params,
                                         const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(params) != PM_OK || !supported(*params)) return 0;
  const Device device = current_device();
  if (device.multiprocessors == 0) return 0;
  if (along_time_of(*params, tuning, device)) return layout_of(*params, Plan{}).total();
  const Plan plan = plan_of(*params, tuning, device);
  return plan.config < 0 ? 0 : layout_of(*params, plan).total();
}

extern "C" size_t pm_cuda_scan_workspace_limit(const pm_scan_params* largest) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(largest) != PM_OK || !supported(*largest)) return 0;
  return carry_limit(problem_of(*largest));
}

extern "C" cudaError_t pm_cuda_scan(const pm_scan_params* params, const pm_cuda_tuning* tuning,
                                    void* workspace, cudaStream_t stream) {
  using namespace posemamba::cuda;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  const pm_scan_params& p = *params;
  if (!supported(p)) return cudaErrorNotSupported;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  if (along_time_of(p, tuning, device)) return along_time::run(p, device, stream);
  const Plan plan = plan_of(p, tuning, device);
  if (plan.config < 0 || (plan.chunks > 1 && workspace == nullptr)) return cudaErrorInvalidValue;

  ScanArgs a = args_of(p, plan, layout_of(p, plan), workspace);
  const Kernel kernel =
      p.dtype == PM_FLOAT16 ? scan_kernel_f16(plan.config) : scan_kernel_f32(plan.config);
  const auto blocks = static_cast<unsigned>(p.batch * p.groups * int64_t{plan.blocks_per_row});
  const dim3 block(static_cast<unsigned>(plan.threads));
  void* args[] = {&a};
  if (plan.chunks == 1) {
    a.phase = kSerial;
    return launch(kernel.function, dim3(blocks), block, args, false, device, stream, kernel.shared);
  }
  const dim3 grid(blocks, static_cast<unsigned>(plan.chunks - 1));
  a.phase = kStates;
  const cudaError_t error =
      launch(kernel.function, grid, block, args, false, device, stream, kernel.shared);
  if (error != cudaSuccess) return error;
  a.phase = kOutputs;
  return launch(kernel.function, grid, block, args, true, device, stream, kernel.shared);
}
