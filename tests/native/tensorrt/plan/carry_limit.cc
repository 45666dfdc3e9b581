// carry_limit() against every plan it promises to cover, on devices of every size; needs no GPU.
// An engine's workspace is reserved by it, before the device and the shape are known.
#include <algorithm>
#include <cstdio>
#include <random>

#include "cuda/device/launch.h"
#include "cuda/scan/chunked/config_list.h"
#include "cuda/scan/chunked/plan.h"

using namespace posemamba::cuda;

namespace {

size_t carry_bytes(const Problem& problem, const Plan& plan) {
  if (plan.chunks == 1) return 0;
  const auto channels = static_cast<size_t>(problem.rows * plan.chunks * plan.channels());
  return align_up(channels * static_cast<size_t>(plan.states) * sizeof(float)) +
         align_up(channels * sizeof(float));
}

}  // namespace

int main() {
  std::mt19937 random(0);
  const auto pick = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  long plans = 0, chunked = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const int states[] = {1, 5, 16, 17, 64};
    const Problem largest{pick(1, 1 << pick(0, 9)), 8 * pick(1, 64), pick(1, 1 << pick(0, 14)),
                          states[pick(0, 4)], pick(0, 1) == 1};
    const size_t limit = carry_limit(largest);
    for (int smaller = 0; smaller < 8; ++smaller) {
      Problem problem = largest;
      if (smaller > 0) problem.rows = pick(1, static_cast<int>(largest.rows));
      if (smaller > 1) problem.steps = pick(1, largest.steps);
      for (const int sms : {1, 8, 16, 46, 84, 132, 170, pick(1, 256), 257, 1000}) {
        for (int variant = PM_CUDA_AUTO; variant <= PM_CUDA_SERIAL; ++variant) {
          for (int config = 0; config <= kConfigs; ++config) {
            const pm_cuda_tuning tuning{variant, 0, config};
            const Plan plan = make_plan(problem, &tuning, sms);
            if (plan.config < 0) continue;
            ++plans;
            chunked += plan.chunks > 1 ? 1 : 0;
            const size_t needed = carry_bytes(problem, plan);
            if (needed <= limit) continue;
            std::printf(
                "%d SMs, variant %d, config %d: %zu of %zu bytes, rows %lld of %lld, steps "
                "%d of %d, channels %d, d_state %d\n",
                sms, variant, config, needed, limit, static_cast<long long>(problem.rows),
                static_cast<long long>(largest.rows), problem.steps, largest.steps,
                problem.channels, problem.d_state);
            return 1;
          }
        }
      }
    }
  }
  std::printf("%ld plans, %ld of them chunked\n", plans, chunked);
  return chunked > 100000 ? 0 : 1;
}
