// Launcher of CrossSelectiveScan, version 2: a task for each chunk of channels and direction.
//
// Every direction adds into a buffer of its own, whatever the number of threads, since a position
// that one direction visits twice would else be summed in another order.
#include "common/validate.h"
#include "cpu/waves.h"

namespace posemamba {
namespace {

constexpr int64_t kTasksPerThread = 4;

IndexedScanPlan make_plan(const pm_indexed_scan_params& p, int32_t threads) {
  IndexedScanPlan plan{};
  plan.params = &p;
  plan.merge = merge_of(p, p.positions);
  plan.merge.parts = p.directions;
  const int64_t wanted = kTasksPerThread * threads;
  plan.merge.items = smaller(p.batch, divide_up(wanted, plan.merge.chunks * p.directions));
  return plan;
}

}  // namespace
}  // namespace posemamba

extern "C" size_t pm_cpu_indexed_scan_workspace(const pm_indexed_scan_params* params,
                                                int32_t threads) {
  using namespace posemamba;
  if (validate_layout(params) != PM_OK) return 0;
  return sums_bytes(make_plan(*params, clamp_threads(threads)).merge);
}

extern "C" pm_status pm_cpu_indexed_scan(const pm_indexed_scan_params* params, void* workspace,
                                         const pm_parallel* parallel) {
  using namespace posemamba;
  pm_status status = validate(params);
  if (status == PM_OK) status = validate_tables(*params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  IndexedScanPlan plan = make_plan(*params, threads_of(parallel));
  run_waves(parallel, params->batch, static_cast<float*>(workspace), active_kernels().indexed_scan,
            &plan, &plan.merge, plan.merge.chunks * plan.merge.parts);
  return PM_OK;
}
