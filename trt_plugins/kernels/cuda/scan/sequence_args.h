// What every design of the generic SelectiveScan takes from its parameters.
#pragma once

#include <algorithm>

#include "posemamba/scan.h"

namespace posemamba::cuda {

struct SequenceArgs {
  const void* u;
  const void* delta;
  const float* A;
  const void* B;
  const void* C;
  const float* D;
  const void* z;
  const float* delta_bias;
  void* y;
  int steps;
  int groups;
  int channels;
  int d_state;
  int delta_softplus;
  int reverse[PM_MAX_DIRECTIONS];
};

inline SequenceArgs sequence_args_of(const pm_scan_params& p) {
  SequenceArgs a{};
  a.u = p.u, a.delta = p.delta, a.A = p.A, a.B = p.B, a.C = p.C, a.D = p.D, a.z = p.z;
  a.delta_bias = p.delta_bias, a.y = p.y;
  a.steps = static_cast<int>(p.length), a.groups = p.groups, a.channels = p.channels;
  a.d_state = p.d_state, a.delta_softplus = p.delta_softplus;
  std::copy_n(p.reverse, PM_MAX_DIRECTIONS, a.reverse);
  return a;
}

}  // namespace posemamba::cuda
