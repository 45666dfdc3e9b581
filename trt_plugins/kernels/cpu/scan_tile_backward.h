// The recurrence backwards, over a tile of steps and one vector of channels. Both operators'
// gradients end here. A tile is traced forward first, from the state at its start, then pulled
// back.
#pragma once

#include "cpu/scan_tile.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

constexpr int kPullStates = 4;  // in registers

// A tile's decays and states, of kPullStates states at once.
struct Trace {
  alignas(64) float decay[kPullSteps * kPullStates * kLanes];
  alignas(64) float before[kPullSteps * kPullStates * kLanes];  // the state before each step
};

// What a pull reads and writes beside TileRows. Rows as there.
struct PullRows {
  const float* dy;       // [steps, kLanes]
  float* through_input;  // [steps, kLanes]  sum over states of g B
  float* through_decay;  // [steps, kLanes]  sum over states of e A log2(e)
  float* dB;             // [d_state, kPullSteps, kLanes]  added to, lane by lane
  float* dC;             // as dB
};

// h <- 2^(dt A) h + dt u B over a tile, the state alone; with kKeep into a trace.
template <int kStates, bool kKeep>
static __attribute__((noinline)) void advance_states(const TileRows& rows, int n,
                                                     const float* decay, float* h, Trace* trace) {
  vf state[kStates];
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) state[i] = load(h + (n + i) * kLanes);
  const float* a = decay + n * kLanes;
  // A copy: stores through float pointers could change what a reference refers to.
  const TileRows t = rows;
  int64_t row = t.first;
  for (int s = 0; s < t.steps; ++s, row += t.step) {
    const vf dt = load(t.dt + row * kLanes);
    const vf dt_u = load(t.dt_u + row * kLanes);
    const float* b = t.B + row * t.state_stride + n;
    vf e[kStates];
    PM_UNROLL
    for (int i = 0; i < kStates; ++i) e[i] = dt * load(a + i * kLanes);
    PM_UNROLL
    for (int i = 0; i < kStates; ++i) e[i] = exp2(e[i]);
    PM_UNROLL
    for (int i = 0; i < kStates; ++i) {
      if (kKeep) {
        store(trace->decay + (s * kStates + i) * kLanes, e[i]);
        store(trace->before + (s * kStates + i) * kLanes, state[i]);
      }
      state[i] = fma(e[i], state[i], dt_u * splat(b[i]));
    }
  }
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) store(h + (n + i) * kLanes, state[i]);
}

// g_s = C_s dy_s + later, from the tile's last step to its first. `h` is the state after the last
// step, `later` what the steps after the tile ask of it, and becomes what this tile asks of the
// state before its first step.
template <int kStates>
static __attribute__((noinline)) void pull_states(const TileRows& rows, const PullRows& pull, int n,
                                                  const float* decay, const Trace& trace,
                                                  const float* h, float* later, float* dA) {
  vf ask[kStates];
  vf after[kStates];
  vf through[kStates];  // sum over steps of e dt
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) {
    ask[i] = load(later + (n + i) * kLanes);
    after[i] = load(h + (n + i) * kLanes);
    through[i] = load(dA + (n + i) * kLanes);
  }
  const float* a = decay + n * kLanes;
  const TileRows t = rows;  // copies, as in advance_states
  const PullRows to = pull;
  float* dB = to.dB + n * kPullSteps * kLanes;
  float* dC = to.dC + n * kPullSteps * kLanes;
  int64_t row = t.first + int64_t{t.step} * (t.steps - 1);
  for (int s = t.steps - 1; s >= 0; --s, row -= t.step) {
    const int64_t at = row * kLanes;
    const vf dt = load(t.dt + at);
    const vf dt_u = load(t.dt_u + at);
    const vf dy = load(to.dy + at);
    const float* b = t.B + row * t.state_stride + n;
    const float* c = t.C + row * t.state_stride + n;
    vf through_input = load(to.through_input + at);
    vf through_decay = load(to.through_decay + at);
    PM_UNROLL
    for (int i = 0; i < kStates; ++i) {
      float* dB_row = dB + i * kPullSteps * kLanes + at;
      float* dC_row = dC + i * kPullSteps * kLanes + at;
      const vf before = load(trace.before + (s * kStates + i) * kLanes);
      const vf g = fma(splat(c[i]), dy, ask[i]);
      through_input = fma(g, splat(b[i]), through_input);
      store(dB_row, fma(g, dt_u, load(dB_row)));
      store(dC_row, fma(after[i], dy, load(dC_row)));
      ask[i] = g * load(trace.decay + (s * kStates + i) * kLanes);
      const vf e = ask[i] * before;
      through_decay = fma(e, load(a + i * kLanes), through_decay);
      through[i] = fma(e, dt, through[i]);
      after[i] = before;
    }
    store(to.through_input + at, through_input);
    store(to.through_decay + at, through_decay);
  }
  PM_UNROLL
  for (int i = 0; i < kStates; ++i) {
    store(later + (n + i) * kLanes, ask[i]);
    store(dA + (n + i) * kLanes, through[i]);
  }
}

static inline void advance_tile(const TileRows& rows, int d_state, const float* decay, float* h) {
  int n = 0;
  for (; n + 8 <= d_state; n += 8) advance_states<8, false>(rows, n, decay, h, nullptr);
  for (; n < d_state; ++n) advance_states<1, false>(rows, n, decay, h, nullptr);
}

template <int kStates>
static void pull_some(const TileRows& rows, const PullRows& pull, int n, const float* decay,
                      float* h, float* later, float* dA, Trace& trace) {
  advance_states<kStates, true>(rows, n, decay, h, &trace);
  pull_states<kStates>(rows, pull, n, decay, trace, h, later, dA);
}

// All states [d_state, kLanes] of a vector of channels. h: at the tile's start, then at its end.
static inline void pull_tile(const TileRows& rows, const PullRows& pull, int d_state,
                             const float* decay, float* h, float* later, float* dA, Trace& trace) {
  int n = 0;
  for (; n + kPullStates <= d_state; n += kPullStates) {
    pull_some<kPullStates>(rows, pull, n, decay, h, later, dA, trace);
  }
  for (; n < d_state; ++n) pull_some<1>(rows, pull, n, decay, h, later, dA, trace);
}

// Rows of sums over channels: to[row * stride + j] = sum over lanes of sums[j, row, lane].
static inline void sum_channels(const float* sums, int columns, int steps, float* to,
                                int64_t stride, const int64_t* position) {
  for (int row = 0; row < steps; ++row) {
    float* out = to + (position != nullptr ? position[row] : row) * stride;
    for (int j = 0; j < columns; j += kLanes) {
      vf m[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        m[i] = j + i < columns ? load(sums + ((j + i) * kPullSteps + row) * kLanes) : vf{};
      }
      store(out + j, sum_lanes(m));
    }
  }
}

}  // namespace
}  // namespace posemamba
