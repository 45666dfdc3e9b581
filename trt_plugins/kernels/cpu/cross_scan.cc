// Launcher of CrossSelectiveScan: how the work is cut into tasks.
//
// A task owns some chunks of 16 channels of one batch item and walks all directions, adding into a
// float32 buffer that stays in its cache. When that gives the threads too little to do, directions
// run apart, each into a buffer of its own. Either way a channel's sum over directions is taken in
// the same order, so the result has the same bits for every number of threads.
#include "common/validate.h"
#include "cpu/waves.h"

namespace posemamba {
namespace {

// Tasks a thread: enough that a slow core or an odd count costs little.
constexpr int64_t kTasksPerThread = 4;

CrossScanPlan make_plan(const pm_cross_scan_params& p, int32_t threads) {
  CrossScanPlan plan{};
  plan.params = &p;
  plan.merge = merge_of(p, p.frames * p.joints);
  Merge& merge = plan.merge;
  const int64_t wanted = kTasksPerThread * threads;
  // Batch items at once: a wave, whose buffers are used again by the next.
  merge.items = smaller(p.batch, divide_up(wanted, merge.chunks));
  const bool apart = threads > 1 && merge.items * merge.chunks < 2 * threads;
  merge.parts = apart ? p.directions : 1;
  // Chunks of one task share its work on B, C and dt_raw.
  int64_t most = smaller(kMaxTaskChunks, kMaxStateChunks / p.d_state);
  most = smaller(most, kMaxWeightChunks / p.dt_rank);
  plan.chunks_per_task =
      apart ? 1 : at_least_one(smaller(most, merge.items * merge.chunks / wanted));
  plan.groups = divide_up(merge.chunks, plan.chunks_per_task);
  return plan;
}

}  // namespace
}  // namespace posemamba

extern "C" size_t pm_cpu_cross_scan_workspace(const pm_cross_scan_params* params, int32_t threads) {
  using namespace posemamba;
  if (validate_layout(params) != PM_OK) return 0;
  return sums_bytes(make_plan(*params, clamp_threads(threads)).merge);
}

extern "C" pm_status pm_cpu_cross_scan(const pm_cross_scan_params* params, void* workspace,
                                       const pm_parallel* parallel) {
  using namespace posemamba;
  const pm_status status = validate(params);
  if (status != PM_OK) return status;
  if (workspace == nullptr) return PM_NULL_POINTER;
  CrossScanPlan plan = make_plan(*params, threads_of(parallel));
  run_waves(parallel, params->batch, static_cast<float*>(workspace), active_kernels().cross_scan,
            &plan, &plan.merge, plan.groups * plan.merge.parts);
  return PM_OK;
}
