// Host-side choice of kernel configuration and chunk count; no CUDA calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {

// What the choice depends on. A row is one (batch item, direction or group).
struct Problem {
  int64_t rows;
  int32_t channels;
  int32_t steps;
  int32_t d_state;
  bool fused;  // CrossSelectiveScan, whose producers also gather and project
};

struct Plan {
  int32_t config;  // index into the kernel tables; -1 when the tuning asks for the impossible
  int32_t chunks;
  int32_t first_steps;  // of chunk 0
  int32_t chunk_steps;  // of every other chunk
  int32_t blocks_per_row;
  int32_t states;  // padded d_state
  int32_t threads;
  int32_t blocks_per_sm;  // at most at a time

  int32_t channels() const { return blocks_per_row * block_channels; }
  int32_t block_channels;
};

Plan make_plan(const Problem& problem, const pm_cuda_tuning* tuning, int32_t multiprocessors);

// Bytes that hold the carries of every plan with automatic chunks, whatever the device, variant and
// configuration, for this problem and for every one with fewer rows or steps.
std::size_t carry_limit(const Problem& largest);

}  // namespace posemamba::cuda
