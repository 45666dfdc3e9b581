// The recurrence itself, over a tile of steps and one vector of channels. Both operators end here.
#pragma once

#include "cpu/math.h"

namespace posemamba {
namespace {

constexpr int kTileSteps = 32;

// A tile's operands, one row a step. Walking a tile backwards is a negative step.
struct TileRows {
  const float* dt;    // [steps, kLanes]
  const float* dt_u;  // [steps, kLanes]  dt * u
  const float* B;     // [steps, state_stride], the same for every lane
  const float* C;     // [steps, state_stride]
  int64_t state_stride;
  int first;  // row of the first step
  int step;   // +1 or -1
  int steps;
};

// h <- 2^(dt A) h + dt u B;  y += C . h, for kStates states that stay in registers, kGroup
// exponentials side by side. decay is A * log2(e) [kStates, kLanes], h [kStates, kLanes], y [steps,
// kLanes].
template <int kStates, int kGroup>
static __attribute__((noinline)) void scan_states(const TileRows& rows, int n, const float* decay,
                                                  float* h, float* y) {
  vf state[kStates];
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) state[i] = load(h + (n + i) * kLanes);
  const float* a = decay + n * kLanes;
  int64_t row = rows.first;
  for (int s = 0; s < rows.steps; ++s, row += rows.step) {
    const vf dt = load(rows.dt + row * kLanes);
    const vf dt_u = load(rows.dt_u + row * kLanes);
    const float* b = rows.B + row * rows.state_stride + n;
    const float* c = rows.C + row * rows.state_stride + n;
    vf sum[2] = {};
    PM_UNROLL
    for (int first = 0; first < kStates; first += kGroup) {
      vf e[kGroup];
      PM_UNROLL
      for (int i = 0; i < kGroup; ++i) e[i] = dt * load(a + (first + i) * kLanes);
      PM_UNROLL
      for (int i = 0; i < kGroup; ++i) e[i] = exp2(e[i]);
      PM_UNROLL
      for (int i = 0; i < kGroup; ++i) {
        const int j = first + i;
        state[j] = fma(e[i], state[j], dt_u * splat(b[j]));
        sum[j & 1] = fma(state[j], splat(c[j]), sum[j & 1]);
      }
    }
    store(y + row * kLanes, load(y + row * kLanes) + (sum[0] + sum[1]));
  }
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) store(h + (n + i) * kLanes, state[i]);
}

// States go through in blocks of eight: with sixteen, what is left of 32 registers holds fewer
// exponentials in flight (measured: 4 % slower with AVX-512), and 16 registers hold no more.
static inline void scan_tile(const TileRows& rows, int d_state, const float* decay, float* h,
                             float* y) {
#if defined(__AVX512F__) || defined(__aarch64__)
  constexpr int kGroup = 4;
#else
  constexpr int kGroup = 1;
#endif
  int n = 0;
  for (; n + 8 <= d_state; n += 8) scan_states<8, kGroup>(rows, n, decay, h, y);
  for (; n + 2 <= d_state; n += 2) scan_states<2, 1>(rows, n, decay, h, y);
  for (; n < d_state; ++n) scan_states<1, 1>(rows, n, decay, h, y);
}

}  // namespace
}  // namespace posemamba
