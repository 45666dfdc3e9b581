// Launcher of SelectiveScan's gradient, as cross_backward.cc.
#include "common/validate_backward.h"
#include "cpu/pull_plan.h"

namespace posemamba {
namespace {

PullSizes sizes_of(const pm_scan_params& p) {
  return {p.batch, p.groups, p.channels, p.length, p.d_state, 0, 0, p.length};
}

}  // namespace
}  // namespace posemamba

extern "C" size_t pm_cpu_scan_backward_workspace(const pm_scan_backward_params* params,
                                                 int32_t threads) {
  using namespace posemamba;
  if (validate_layout(params) != PM_OK) return 0;
  return pull_bytes(make_pull_plan(sizes_of(params->forward), clamp_threads(threads)));
}

extern "C" pm_status pm_cpu_scan_backward(const pm_scan_backward_params* params, void* workspace,
                                          const pm_parallel* parallel) {
  using namespace posemamba;
  const pm_status status = validate(params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  if (params->states != nullptr) return PM_UNSUPPORTED;
  const pm_scan_params& p = params->forward;
  const PullSizes sizes = sizes_of(p);
  ScanBackwardPlan plan{params, make_pull_plan(sizes, threads_of(parallel))};
  PullPlan& pull = plan.pull;
  pull.workspace = static_cast<float*>(workspace);
  const WeightOutputs weights{params->dA, nullptr,
                              p.delta_bias == nullptr ? nullptr : params->d_delta_bias,
                              p.D == nullptr ? nullptr : params->dD};
  const IsaKernels& kernels = active_kernels();
  const int64_t wave = pull.items;
  for (; pull.first_item < sizes.batch; pull.first_item += wave) {
    pull.items = smaller(wave, sizes.batch - pull.first_item);
    run_tasks(parallel, pull.items * pull.rows * pull.parts, kernels.scan_pull, &plan);
    run_tasks(parallel, pull.items * pull.rows * pull.fold_tiles, kernels.scan_fold, &plan);
    add_weights(sizes, pull, weights);
  }
  return PM_OK;
}
