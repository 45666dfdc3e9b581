// Launchers of SelectiveScan, both versions: a task owns some chunks of 16 channels of one group
// and batch item.
#include "common/validate.h"
#include "cpu/parallel.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

constexpr int64_t kTasksPerThread = 4;

ScanPlan make_plan(const pm_scan_params& p, int32_t threads) {
  ScanPlan plan{};
  plan.params = &p;
  plan.chunks = divide_up(p.channels, kChunk);
  const int64_t all = p.batch * p.groups * plan.chunks;
  const int64_t most = smaller(kMaxTaskChunks, kMaxStateChunks / p.d_state);
  plan.chunks_per_task = at_least_one(smaller(most, all / (kTasksPerThread * threads)));
  plan.tasks_per_group = divide_up(plan.chunks, plan.chunks_per_task);
  return plan;
}

void run(ScanPlan plan, const pm_parallel* parallel) {
  const pm_scan_params& p = *plan.params;
  run_tasks(parallel, p.batch * p.groups * plan.tasks_per_group, active_kernels().scan, &plan);
}

}  // namespace
}  // namespace posemamba

extern "C" size_t pm_cpu_scan_workspace(const pm_scan_params* params, int32_t /*threads*/) {
  // Tiles live on the stack; one cache line keeps "0 means invalid" true.
  return posemamba::validate_layout(params) == PM_OK ? 64 : 0;
}

extern "C" pm_status pm_cpu_scan(const pm_scan_params* params, void* workspace,
                                 const pm_parallel* parallel) {
  using namespace posemamba;
  const pm_status status = validate(params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  run(make_plan(*params, threads_of(parallel)), parallel);
  return PM_OK;
}

extern "C" size_t pm_cpu_stateful_scan_workspace(const pm_stateful_scan_params* params,
                                                 int32_t /*threads*/) {
  return posemamba::validate_layout(params) == PM_OK ? 64 : 0;
}

extern "C" pm_status pm_cpu_stateful_scan(const pm_stateful_scan_params* params, void* workspace,
                                          const pm_parallel* parallel) {
  using namespace posemamba;
  const pm_status status = validate(params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  ScanPlan plan = make_plan(params->scan, threads_of(parallel));
  plan.initial_state = params->initial_state;
  plan.final_state = params->final_state;
  run(plan, parallel);
  return PM_OK;
}
