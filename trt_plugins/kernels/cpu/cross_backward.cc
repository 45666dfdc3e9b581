// Launcher of CrossSelectiveScan's gradient. States are recomputed: the forward pass keeps nothing.
//
// A task pulls some channels of one direction back through its walk and leaves what it found in the
// workspace. Folds then add directions and channels up in order, wave by wave.
#include "common/validate_backward.h"
#include "cpu/pull_plan.h"

namespace posemamba {
namespace {

PullSizes sizes_of(const pm_cross_scan_params& p) {
  const int64_t positions = p.frames * p.joints;
  return {p.batch, p.directions, p.d_inner, positions, p.d_state, p.dt_rank, positions, p.frames};
}

}  // namespace
}  // namespace posemamba

extern "C" size_t pm_cpu_cross_scan_backward_workspace(const pm_cross_scan_backward_params* params,
                                                       int32_t threads) {
  using namespace posemamba;
  if (validate_layout(params) != PM_OK) return 0;
  return pull_bytes(make_pull_plan(sizes_of(params->forward), clamp_threads(threads)));
}

extern "C" pm_status pm_cpu_cross_scan_backward(const pm_cross_scan_backward_params* params,
                                                void* workspace, const pm_parallel* parallel) {
  using namespace posemamba;
  const pm_status status = validate(params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  if (params->states != nullptr) return PM_UNSUPPORTED;
  const PullSizes sizes = sizes_of(params->forward);
  CrossBackwardPlan plan{params, make_pull_plan(sizes, threads_of(parallel))};
  PullPlan& pull = plan.pull;
  pull.workspace = static_cast<float*>(workspace);
  const WeightOutputs weights{params->dA, params->d_dt_weight, params->d_dt_bias, params->dD};
  const IsaKernels& kernels = active_kernels();
  const int64_t wave = pull.items;
  for (; pull.first_item < sizes.batch; pull.first_item += wave) {
    pull.items = smaller(wave, sizes.batch - pull.first_item);
    run_tasks(parallel, pull.items * pull.rows * pull.parts, kernels.cross_pull, &plan);
    run_tasks(parallel, pull.items * pull.chunks * pull.fold_tiles, kernels.cross_fold_x, &plan);
    run_tasks(parallel, pull.items * pull.rows * pull.fold_tiles, kernels.cross_fold_x_dbl, &plan);
    add_weights(sizes, pull, weights);
  }
  return PM_OK;
}
