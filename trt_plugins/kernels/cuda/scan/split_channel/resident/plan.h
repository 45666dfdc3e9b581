// How the resident design divides a problem among its thread blocks; no CUDA calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "posemamba/scan.h"

namespace posemamba::cuda::resident {

constexpr int kRank = 4;        // of dt: that of d_inner 128
constexpr int kChannels = 64;   // of a thread block
constexpr int kCapacity = 264;  // steps that its shared memory holds

// A block has the channels of one group, of one direction and batch item, and one chunk of the
// steps.
struct Division {
  int64_t rows;    // batch items * directions * groups of channels
  int32_t chunks;  // 0: the problem is not for this design

  int64_t blocks() const { return rows * chunks; }
  // What the blocks tell each other: end states, and sums of dt.
  std::size_t exchange_bytes() const;
};

// As many chunks as give no multiprocessor a second block.
Division divide(const pm_cross_scan_params& params, int32_t multiprocessors);

// Bytes that hold the exchange of `largest`, and of every problem of fewer batch items or frames,
// on any device of at most so many multiprocessors.
std::size_t exchange_limit(const pm_cross_scan_params& largest, int32_t multiprocessors);

// Whether it has a kernel for such activations and parameters.
bool takes(const pm_cross_scan_params& params);

}  // namespace posemamba::cuda::resident
