// Launcher of the gradients of SelectiveScan.
#include <algorithm>

#include "common/validate_backward.h"
#include "cuda/device/start.h"
#include "cuda/scan/backward/around.h"
#include "cuda/scan/backward/kernels.cuh"
#include "cuda/scan/backward/merge.cuh"
#include "cuda/scan/backward/plan.h"
#include "cuda/scan/backward/scan_rows.cuh"
#include "posemamba/scan_backward_cuda.h"

namespace posemamba::cuda::backward {
namespace {

int64_t rows_of(const pm_scan_params& p) { return p.batch * p.groups; }
int64_t states_elements(const pm_scan_params& p) { return rows_of(p) * 2 * p.d_state * p.length; }
Sizes sizes_of(const pm_scan_params& p) { return {rows_of(p), p.length, p.channels, p.d_state, 0}; }

Plan plan_of(const pm_scan_params& p, const pm_cuda_tuning* tuning, const Device& device) {
  Plan plan = make_plan(sizes_of(p), tuning, device);
  plan.valid = plan.valid && blocks_for(states_elements(p)) <= INT32_MAX;
  return plan;
}

// The parts of the workspace; its size is that of `parts` afterwards.
ScanArgs args_of(const pm_scan_backward_params& params, const Plan& plan, Parts* parts) {
  const pm_scan_params& p = params.forward;
  ScanArgs a{};
  a.problem = make_problem(sizes_of(p), plan, p.groups, parts);
  a.problem.A = p.A, a.problem.D = p.D;
  a.problem.softplus = p.delta_softplus;
  a.of_bc = parts->take(states_elements(p) * plan.blocks_per_row);
  a.u = p.u, a.delta = p.delta, a.B = p.B, a.C = p.C, a.z = p.z, a.delta_bias = p.delta_bias;
  a.dy = params.dy, a.du = params.du, a.ddelta = params.ddelta, a.dz = params.dz;
  std::copy_n(p.reverse, PM_MAX_DIRECTIONS, a.reverse);
  return a;
}

template <typename T, bool Gated>
cudaError_t run(const pm_scan_params& p, const Plan& plan, const ScanArgs& a, const Device& device,
                cudaStream_t stream) {
  return with_shape(p.d_state, [&](auto shape) {
    using S = typename decltype(shape)::type;
    return launch_chunks<S, ScanRows<S, T, Gated>>(a, plan, rows_of(p), device, stream);
  });
}

template <typename T>
cudaError_t run(const pm_scan_backward_params& params, const Plan& plan, const ScanArgs& a,
                const Device& device, cudaStream_t stream) {
  const pm_scan_params& p = params.forward;
  const cudaError_t error = p.z == nullptr ? run<T, false>(p, plan, a, device, stream)
                                           : run<T, true>(p, plan, a, device, stream);
  if (error != cudaSuccess) return error;
  const StatesArgs states{
      a.of_bc, params.dB, params.dC, p.d_state * p.length, states_elements(p), plan.blocks_per_row};
  return start(states_kernel<T>, blocks_for(states.elements), kThreads, states, device, stream);
}

}  // namespace
}  // namespace posemamba::cuda::backward

extern "C" size_t pm_cuda_scan_backward_workspace(const pm_scan_backward_params* params,
                                                  const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::backward;
  if (posemamba::validate_layout(params) != PM_OK) return 0;
  const Device device = current_device();
  const Plan plan = plan_of(params->forward, tuning, device);
  if (device.multiprocessors == 0 || !plan.valid) return 0;
  Parts parts(nullptr);
  args_of(*params, plan, &parts);
  return parts.size();
}

extern "C" cudaError_t pm_cuda_scan_backward(const pm_scan_backward_params* params,
                                             const pm_cuda_tuning* tuning, void* workspace,
                                             cudaStream_t stream) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::backward;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  if (params->states != nullptr) return cudaErrorNotSupported;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  const pm_scan_params& p = params->forward;
  const Plan plan = plan_of(p, tuning, device);
  if (!plan.valid || workspace == nullptr) return cudaErrorInvalidValue;
  Parts parts(workspace);
  const ScanArgs a = args_of(*params, plan, &parts);
  const cudaError_t error = p.dtype == PM_FLOAT16 ? run<__half>(*params, plan, a, device, stream)
                                                  : run<float>(*params, plan, a, device, stream);
  if (error != cudaSuccess) return error;
  Sum sums[kMostSums];
  int count = 0;
  sums[count++] = {a.problem.state, params->dA, plan.states, p.d_state};
  if (p.D != nullptr) sums[count++] = {a.problem.skip, params->dD, 1, 1};
  if (p.delta_bias != nullptr) sums[count++] = {a.problem.dt_sum, params->d_delta_bias, 1, 1};
  return sum_chunks(a.problem, p.batch, sums, count, device, stream);
}
