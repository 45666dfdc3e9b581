// How a chunk of the resident design comes in: all warps of the block convert it at once. A lane is
// a step: it reads 16 bytes of u (8 channels) and the step's dt inputs, projects with the panel's
// weights in its registers and stores dt and dt * u along the channel's row.
#pragma once

#include "cuda/scan/split_channel/resident/config.cuh"

namespace posemamba::cuda::resident {

class Converter {
 public:
  // The weights come from no earlier launch.
  __device__ __forceinline__ Converter(const CrossArgs& a, int direction, int first, int warp)
      : a_(a), direction_(direction) {
    panel_ = warp / kWarpsOfPanel * kPanel;
    step_ = warp % kWarpsOfPanel * 32 + static_cast<int>(threadIdx.x) % 32;
    // d_inner is a multiple of 8: a panel is all inside, or repeats the last one and is not stored.
    channel_ = min(first + panel_, a.d_inner - kPanel);
    const int64_t at = int64_t{direction} * a.d_inner + channel_;
#pragma unroll
    for (int c = 0; c < kPanel; ++c) {
      bias_[c] = __ldg(a.dt_bias + at + c);
#pragma unroll
      for (int r = 0; r < kRank; ++r) weight_[c][r] = __ldg(a.dt_weight + (at + c) * kRank + r);
    }
  }

  // Starts the reads of the chunk, of row `row` = batch * directions + direction.
  __device__ __forceinline__ void load(const Prepared& from, int row, const Chunk& chunk) {
    const int64_t walk = int64_t{row / a_.directions} * from.walks + from.walk[direction_];
    const auto* u =
        reinterpret_cast<const uint4*>(from.u + (walk * a_.d_inner + channel_) * from.steps4);
    const auto* raw = reinterpret_cast<const float4*>(from.raw) + int64_t{row} * from.steps4;
    const bool reverse = a_.reverse[direction_] != 0;
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
      if (!any(i, chunk)) break;
      // Steps past the end repeat the last one.
      const int s = min(chunk.begin + i * kUnit + step_, a_.steps - 1);
      u_[i] = __ldg(u + (reverse ? a_.steps - 1 - s : s));
      raw_[i] = __ldg(raw + s);
    }
  }

  __device__ __forceinline__ void store(Shared& s, const Chunk& chunk) const {
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
      if (!any(i, chunk)) break;
      const int step = i * kUnit + step_;
      if (step >= chunk.quads * kQuad) continue;
      const uint32_t bits[4] = {u_[i].x, u_[i].y, u_[i].z, u_[i].w};
#pragma unroll
      for (int c = 0; c < kPanel; c += 2) {
        const float2 u = Io<__half>::value2(bits[c / 2]);
        const float dt[2] = {project(raw_[i], c), project(raw_[i], c + 1)};
        const int to = (panel_ + c) * kRow + step;
        s.dt[to] = dt[0];
        s.dt[to + kRow] = dt[1];
        s.du[to] = dt[0] * u.x;
        s.du[to + kRow] = dt[1] * u.y;
      }
    }
  }

 private:
  static_assert(kRank == 4, "the dt inputs of a step are one read");

  // Whether any lane of this warp has a step of unit i.
  __device__ __forceinline__ bool any(int i, const Chunk& chunk) const {
    return i * kUnit + step_ / 32 * 32 < chunk.quads * kQuad;
  }

  __device__ __forceinline__ float project(const float4& in, int c) const {
    float v = fmaf(in.x, weight_[c][0], bias_[c]);
    v = fmaf(in.y, weight_[c][1], v);
    v = fmaf(in.z, weight_[c][2], v);
    return softplus_for<__half>(fmaf(in.w, weight_[c][3], v));
  }

  const CrossArgs& a_;
  int direction_;
  int panel_;    // first channel of this warp's panel, inside the block
  int channel_;  // and of all
  int step_;     // of this lane, in a unit
  float bias_[kPanel];
  float weight_[kPanel][kRank];
  uint4 u_[kUnits];
  float4 raw_[kUnits];
};

}  // namespace posemamba::cuda::resident
