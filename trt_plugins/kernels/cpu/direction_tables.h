// What a task of CrossSelectiveScan knows of a direction, either version.
#pragma once

#include "cpu/math.h"
#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

// Constants of a direction for the channels of a task, one lane a channel.
struct DirectionTables {
  alignas(64) float decay[kStateRows * kChunk];            // [vectors, d_state, kLanes] A log2(e)
  alignas(64) float state[kStateRows * kChunk];            // [vectors, d_state, kLanes]
  alignas(64) float dt_weight[kMaxWeightChunks * kChunk];  // [vectors, dt_rank, kLanes]
  alignas(64) float dt_bias[kMaxTaskChunks * kChunk];      // [vectors, kLanes]
  alignas(64) float skip[kMaxTaskChunks * kChunk];         // [vectors, kLanes] D
};

template <class Params>
static void load_tables(const Params& p, int k, int64_t channel, int vectors, DirectionTables& t) {
  for (int v = 0; v < vectors; ++v, channel += kLanes) {
    const int lanes =
        static_cast<int>(p.d_inner - channel < kLanes ? p.d_inner - channel : int64_t{kLanes});
    const int64_t c = k * int64_t{p.d_inner} + channel;
    float* decay = t.decay + v * p.d_state * kLanes;
    load_transposed(p.A + c * p.d_state, p.d_state, lanes, p.d_state, decay, kLanes);
    for (int n = 0; n < p.d_state; ++n) {
      store(decay + n * kLanes, load(decay + n * kLanes) * splat(kLog2e));
      store(t.state + (v * p.d_state + n) * kLanes, vf{});
    }
    load_transposed(p.dt_weight + c * p.dt_rank, p.dt_rank, lanes, p.dt_rank,
                    t.dt_weight + v * p.dt_rank * kLanes, kLanes);
    store(t.dt_bias + v * kLanes, load(p.dt_bias + c, lanes));
    store(t.skip + v * kLanes, load(p.D + c, lanes));
  }
}

}  // namespace
}  // namespace posemamba
