// The recurrence h <- exp(dt A) h + dt u B, y = C.h over one shared-memory tile. Both operators use
// it; they differ in who fills the tile and where y goes.
#pragma once

#include <limits>

#include "cuda/device/device.cuh"
#include "cuda/scan/chunked/config.h"

namespace posemamba::cuda {

constexpr int kStages = 2;

// The ring of stages between producer warps (who wait until a stage is empty, then fill it) and
// scan warps (who wait until it is full, then read it). Every thread arrives for itself: one
// arrival per warp times the same, but then a sanitizer cannot tell that the warp's other lanes are
// ordered too.
template <class C>
struct Ring {
  uint64_t full[kStages];
  uint64_t empty[kStages];

  // By one thread; the caller synchronises the block before anyone uses the ring.
  __device__ __forceinline__ void init() {
#pragma unroll
    for (int s = 0; s < kStages; ++s) {
      barrier_init(full + s, 32 * C::kProducers);
      barrier_init(empty + s, C::kScanThreads);
    }
  }
  // `tile` counts the tiles of the chunk: stage tile % kStages, used for the tile / kStages-th
  // time.
  __device__ __forceinline__ void wait_full(int tile) {
    barrier_wait(full + tile % kStages, tile / kStages & 1);
  }
  __device__ __forceinline__ void wait_empty(int tile) {
    barrier_wait(empty + tile % kStages, tile / kStages & 1);
  }
  __device__ __forceinline__ void signal_full(int tile) { barrier_arrive(full + tile % kStages); }
  __device__ __forceinline__ void signal_empty(int tile) { barrier_arrive(empty + tile % kStages); }
};

template <class C>
struct Stage {
  alignas(16) float bc[C::kTile * C::kBcRow];    // [step][B, then C]
  alignas(16) float dt[C::kChannels * C::kRow];  // [row_of_channel][step], after softplus
  alignas(16) float du[C::kChannels * C::kRow];  // dt * u; the generic scan puts y back here
};

// Even channels first, so that the two channels of a producer lane fall into different halves and
// its float4 stores are free of bank conflicts.
template <class C>
__device__ __forceinline__ int row_of_channel(int c) {
  return (c & 1) * (C::kChannels / 2) + (c >> 1);
}

// Four consecutive states of B or C at one step.
__device__ __forceinline__ void load_states(const float* from, float (&to)[4]) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

// The sum of dt of a chunk in which the state is reset.
constexpr float kForgotten = std::numeric_limits<float>::infinity();

// Registers of a scan lane.
template <class C>
struct Scanner {
  static constexpr int kGroups = 32 / C::kLanes;  // channel groups per warp

  float a[C::kCpt][C::kSpl];  // A * log2(e)
  float h[C::kCpt][C::kSpl];
  float dt_sum[C::kCpt];
  int row[C::kCpt];  // offset of the channel's row in Stage::dt
  int lane;          // position inside the channel group: states lane * Spl ...
  int group;         // channels group * Cpt ...

  // Lanes with the same states are neighbours: a 16-byte shared-memory read is served half a warp
  // at a time, at full rate only if neighbours share addresses, and reads of B and C are the
  // frequent ones.
  __device__ __forceinline__ void place(int thread) {
    lane = thread % 32 / kGroups;
    group = thread / 32 * kGroups + thread % kGroups;
#pragma unroll
    for (int q = 0; q < C::kCpt; ++q) {
      row[q] = row_of_channel<C>(group * C::kCpt + q) * C::kRow;
      dt_sum[q] = 0.0f;
#pragma unroll
      for (int i = 0; i < C::kSpl; ++i) h[q][i] = 0.0f;
    }
  }

  // Scans `steps` steps of a tile (rounded up to whole blocks; the producers made the tail inert:
  // dt = 0, decay 1). With kOut, sink(step, y) receives the outputs of this lane's channels for
  // every step it ends up with.
  template <bool kOut, class Sink>
  __device__ __forceinline__ void tile(const Stage<C>& stage, int steps, Sink&& sink) {
#pragma unroll 1
    for (int t0 = 0; t0 < steps; t0 += C::kBlock) block<kOut, false>(stage, t0, 0, sink);
  }

  // The same where the state is zero before every step whose bit is set in `resets`.
  template <bool kOut, class Sink>
  __device__ __forceinline__ void tile(const Stage<C>& stage, int steps, unsigned resets,
                                       Sink&& sink) {
#pragma unroll 1
    for (int t0 = 0; t0 < steps; t0 += C::kBlock) {
      const unsigned here = resets >> t0 & ((1u << C::kBlock) - 1);
      if (here == 0) {
        block<kOut, false>(stage, t0, 0, sink);
      } else {
        block<kOut, true>(stage, t0, here, sink);
      }
    }
  }

 private:
  // A register block: kBlock steps from t0 on.
  template <bool kOut, bool kResets, class Sink>
  __device__ __forceinline__ void block(const Stage<C>& stage, int t0, unsigned resets,
                                        Sink&& sink) {
    float v[C::kCpt][C::kBlock];
#pragma unroll
    for (int t4 = 0; t4 < C::kBlock; t4 += 4) {
      float dt[C::kCpt][4];
      float du[C::kCpt][4];
#pragma unroll
      for (int q = 0; q < C::kCpt; ++q) {
        const float4 x = *reinterpret_cast<const float4*>(stage.dt + row[q] + t0 + t4);
        const float4 z = *reinterpret_cast<const float4*>(stage.du + row[q] + t0 + t4);
        dt[q][0] = x.x, dt[q][1] = x.y, dt[q][2] = x.z, dt[q][3] = x.w;
        du[q][0] = z.x, du[q][1] = z.y, du[q][2] = z.z, du[q][3] = z.w;
      }
#pragma unroll
      for (int s = 0; s < 4; ++s) {
        if constexpr (kResets) {
          if (resets >> (t4 + s) & 1) forget();
        }
        float b[C::kSpl];
        float c[C::kSpl];
        const float* words = stage.bc + (t0 + t4 + s) * C::kBcRow + lane * C::kSpl;
        load_states(words, b);
        if constexpr (kOut) load_states(words + C::kStates, c);
#pragma unroll
        for (int q = 0; q < C::kCpt; ++q) {
          if constexpr (!kOut) dt_sum[q] += dt[q][s];
          float y = 0.0f;
#pragma unroll
          for (int i = 0; i < C::kSpl; ++i) {
            const float decay = exp2_fast(dt[q][s] * a[q][i]);
            h[q][i] = fmaf(decay, h[q][i], du[q][s] * b[i]);
            if constexpr (kOut) y = i == 0 ? h[q][i] * c[i] : fmaf(h[q][i], c[i], y);
          }
          if constexpr (kOut) v[q][t4 + s] = y;
        }
      }
    }
    if constexpr (kOut) {
      reduce(v);
#pragma unroll
      for (int m = 0; m < C::kBlock / C::kLanes; ++m) {
        float y[C::kCpt];
#pragma unroll
        for (int q = 0; q < C::kCpt; ++q) y[q] = v[q][m * C::kLanes];
        sink(t0 + m * C::kLanes + lane, y);
      }
    }
  }

  // What came before is gone: an endless dt decays whatever a chunk starts from to nothing.
  __device__ __forceinline__ void forget() {
#pragma unroll
    for (int q = 0; q < C::kCpt; ++q) {
      dt_sum[q] = kForgotten;
#pragma unroll
      for (int i = 0; i < C::kSpl; ++i) h[q][i] = 0.0f;
    }
  }

  // Sums over the lanes of a group, transposing as it goes: of kLanes consecutive steps lane j ends
  // with the total of step j. kLanes - 1 shuffles per kLanes steps, not log2(kLanes) per step.
  __device__ __forceinline__ void reduce(float (&v)[C::kCpt][C::kBlock]) const {
#pragma unroll
    for (int q = 0; q < C::kCpt; ++q) {
#pragma unroll
      for (int m = 0; m < C::kBlock; m += C::kLanes) {
#pragma unroll
        for (int half = C::kLanes / 2; half > 0; half /= 2) {
          const bool upper = (lane & half) != 0;
#pragma unroll
          for (int i = 0; i < half; ++i) {
            const float keep = upper ? v[q][m + i + half] : v[q][m + i];
            const float send = upper ? v[q][m + i] : v[q][m + i + half];
            v[q][m + i] = keep + __shfl_xor_sync(0xffffffffu, send, half * kGroups);
          }
        }
      }
    }
  }
};

// Where a chunk's end state and the sum of its dt live: [row][chunk][channel](padded, States).
struct Carry {
  float* state;
  float* dt_sum;
  int chunks;    // of the whole sequence
  int channels;  // padded to the thread block's channels
};

template <class C>
__device__ __forceinline__ void save_carry(const Scanner<C>& s, const Carry& carry, int64_t row,
                                           int chunk, int first) {
#pragma unroll
  for (int q = 0; q < C::kCpt; ++q) {
    const int64_t at =
        (row * carry.chunks + chunk) * carry.channels + first + s.group * C::kCpt + q;
    if (s.lane == 0) carry.dt_sum[at] = s.dt_sum[q];
#pragma unroll
    for (int i = 0; i < C::kSpl; ++i) {
      carry.state[at * C::kStates + s.lane * C::kSpl + i] = s.h[q][i];
    }
  }
}

// The state at the start of `chunk`: the end states of the chunks before it, each decayed by the
// sum of dt that follows it. Chunk 0 ends with the true state; the others started from zero. Reads
// of eight chunks are in flight at once: this is on the critical path of the second launch. With
// kResets a chunk may have forgotten what came before it.
template <class C, bool kResets = false>
__device__ __forceinline__ void load_carry(Scanner<C>& s, const Carry& carry, int64_t row,
                                           int chunk, int first) {
  constexpr int kAhead = 8;
  static_assert(C::kSpl == 4, "a lane's states are one 16-byte read");
  const int64_t start = row * carry.chunks * carry.channels + first + s.group * C::kCpt;
#pragma unroll 1
  for (int p0 = 0; p0 < chunk; p0 += kAhead) {
    float4 end[kAhead][C::kCpt];
    float sum[kAhead][C::kCpt];
#pragma unroll
    for (int p = 0; p < kAhead; ++p) {
      const int64_t at = start + int64_t{min(p0 + p, chunk - 1)} * carry.channels;
#pragma unroll
      for (int q = 0; q < C::kCpt; ++q) {
        sum[p][q] = carry.dt_sum[at + q];
        end[p][q] = *reinterpret_cast<const float4*>(carry.state + (at + q) * C::kStates +
                                                     s.lane * C::kSpl);
      }
    }
#pragma unroll
    for (int p = 0; p < kAhead; ++p) {
      if (p0 + p >= chunk) break;
#pragma unroll
      for (int q = 0; q < C::kCpt; ++q) {
        const float e[4] = {end[p][q].x, end[p][q].y, end[p][q].z, end[p][q].w};
        const bool forgotten = kResets && sum[p][q] == kForgotten;
#pragma unroll
        for (int i = 0; i < C::kSpl; ++i) {
          const float whole = fmaf(exp2_fast(sum[p][q] * s.a[q][i]), s.h[q][i], e[i]);
          s.h[q][i] = forgotten ? e[i] : whole;
        }
      }
    }
  }
}

}  // namespace posemamba::cuda
