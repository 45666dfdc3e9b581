// Which design of CrossSelectiveScan runs; host code, no CUDA calls.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/chunked/plan.h"
#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/resident/plan.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {

struct Choice {
  bool valid;        // false: the tuning asks for the impossible
  bool forced;       // the tuning names the one-pass configuration
  int32_t one_pass;  // OnePass, or -1
  int32_t prepared;  // the same, of those that read prepared rows, where these cost nothing more
  // What runs where `one_pass` is -1 or an address is not aligned for it; the workspace serves
  // both, for a host asks for its size before it has addresses.
  Plan chunked;
};

Problem problem_of(const pm_cross_scan_params& params);
Choice choose(const pm_cross_scan_params& params, const pm_cuda_tuning* tuning,
              const Device& device);

// How the resident design takes a problem on this device.
resident::Division resident_division(const pm_cross_scan_params& params, const Device& device);

// Bytes that hold what is prepared for `largest` and what blocks exchange, and for every problem of
// fewer batch items or frames, on any device.
std::size_t prepared_limit(const pm_cross_scan_params& largest);

// Whether x and x_dbl start where the one-pass designs can read them.
bool reads_aligned(const pm_cross_scan_params& params);

}  // namespace posemamba::cuda
