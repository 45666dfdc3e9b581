// The kernels' variants as TensorRT tactics, so that the builder times them and an engine remembers
// the choice by number. A number keeps its meaning for ever: plans carry it.
#pragma once

#include <array>
#include <cstdint>

#include "posemamba/scan_cuda.h"

namespace posemamba::trt {

// 0 is TensorRT's "default tactic"; what advertises must not be 0. Both leave every choice to the
// launcher's heuristic, which looks at the device and shape it is launched with.
constexpr int32_t kDefaultTactic = 0;
constexpr int32_t kAutomaticTactic = 1;
constexpr int32_t kConfigsPerVariant = 16;  // tactic = variant * 16 + config, both at least 1

// The tuning behind a tactic; false if no tactic has that number.
inline bool tuning_of(int32_t tactic, pm_cuda_tuning* tuning) {
  *tuning = pm_cuda_tuning{};
  if (tactic == kDefaultTactic || tactic == kAutomaticTactic) return true;
  tuning->variant = tactic / kConfigsPerVariant;
  tuning->config = tactic % kConfigsPerVariant;
  return (tuning->variant == PM_CUDA_CHUNKED || tuning->variant == PM_CUDA_SERIAL) &&
         tuning->config >= 1;
}

struct Tactics {
  std::array<int32_t, 1 + 2 * (kConfigsPerVariant - 1)> numbers{kAutomaticTactic};
  int32_t count = 1;
};

// Every tactic the launcher takes for `params` on the current device; the automatic one alone where
// there is no device, as when an engine is built ahead of time.
template <class Operator>
Tactics tactics_for(const typename Operator::Params& params) {
  Tactics tactics;
  for (const int32_t variant : {PM_CUDA_CHUNKED, PM_CUDA_SERIAL}) {
    for (int32_t config = 1; config < kConfigsPerVariant; ++config) {
      const pm_cuda_tuning tuning{variant, 0, config};
      if (!Operator::Launcher::takes(params, tuning)) continue;
      tactics.numbers[static_cast<size_t>(tactics.count++)] = variant * kConfigsPerVariant + config;
    }
  }
  return tactics;
}

}  // namespace posemamba::trt
