// How the backward kernels cut a problem: lanes of a warp, warps of a thread block, chunks of
// steps.
#pragma once

#include <cstddef>
#include <cstdint>

namespace posemamba::cuda::backward {

constexpr int kPerLane = 4;    // channels and states of a lane: 16 pairs
constexpr int kTile = 4;       // steps whose states a lane keeps in registers
constexpr int kMostWarps = 4;  // of a thread block, each with channels of its own
constexpr int kTiles = 4;      // of a chunk: the workspace holds the states before every chunk
constexpr int kSteps = kTile * kTiles;
constexpr int kRowPad = 4;  // floats between rows of channels: float4 reads of 8 rows hit all banks

// StateLanes lanes of a warp hold the states of a channel; the others hold other channels.
template <int StateLanes>
struct Shape {
  static constexpr int kStateLanes = StateLanes;
  static constexpr int kChannelLanes = 32 / StateLanes;
  static constexpr int kStates = StateLanes * kPerLane;       // those beyond d_state are zero
  static constexpr int kChannels = kChannelLanes * kPerLane;  // of a warp
};

template <class S>
struct ShapeType {
  using type = S;
};

// Calls `use` with the type of the smallest shape that holds d_state states.
template <class Use>
auto with_shape(int32_t d_state, const Use& use) {
  if (d_state <= 16) return use(ShapeType<Shape<4>>{});
  if (d_state <= 32) return use(ShapeType<Shape<8>>{});
  return use(ShapeType<Shape<16>>{});
}

// A chunk in shared memory: where its parts begin, in floats. The gradients need all of them, the
// carries those before `sums`.
struct Layout {
  int rank;    // of the dt projection, to a multiple of four; weights and inputs there are zero
  int stride;  // between the steps of dt, u and dy

  int dt;        // [kSteps][stride] step sizes, after softplus; then the gradient of delta
  int u;         // [kSteps][stride]; then the gradient of u
  int dy;        // [kSteps][stride], gated; then, where there is a gate, the output before it
  int bc;        // [kSteps][2 states]
  int raw;       // [kSteps][rank] inputs of the dt projection
  int weight;    // [rank][channels] of it
  int position;  // [2][kSteps] where a step is on the grid, and its limb neighbour
  int sums;      // [warps][kSteps][2 states] gradients of B and C
  int starts;    // [warps][kTiles - 1][channel][lane][state] states before each tile but the first
  int end;
};

// rank 0: an operator that is given delta, and needs no positions.
inline Layout make_layout(int states, int warp_channels, int warps, int rank) {
  Layout l{};
  const int channels = warp_channels * warps;
  l.stride = channels + kRowPad;
  int at = 0;
  const auto take = [&at](int floats) {
    const int begin = at;
    at += (floats + 3) / 4 * 4;  // parts are read 16 bytes at a time
    return begin;
  };
  l.dt = take(kSteps * l.stride);
  l.u = take(kSteps * l.stride);
  l.dy = take(kSteps * l.stride);
  l.bc = take(kSteps * 2 * states);
  l.rank = (rank + 3) / 4 * 4;
  l.raw = take(kSteps * l.rank);
  l.weight = take(l.rank * channels);
  l.position = take(rank > 0 ? 2 * kSteps : 0);
  l.sums = take(warps * kSteps * 2 * states);
  l.starts = take(warps * (kTiles - 1) * kPerLane * 32 * kPerLane);
  l.end = at;
  return l;
}

}  // namespace posemamba::cuda::backward
