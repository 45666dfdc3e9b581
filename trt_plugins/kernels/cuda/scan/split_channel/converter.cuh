// Converter warps of the split-channel design. A lane is a step: it reads 16 bytes of u (8
// channels) and the step's dt inputs, projects with the panel's weights in its registers and stores
// dt and dt * u along the channel's row, free of bank conflicts. The next tile's reads wait in
// registers while the ring is full.
#pragma once

#include "cuda/scan/split_channel/config.cuh"

namespace posemamba::cuda::split_channel {

template <class C>
class Converter {
  static constexpr int kRankQuads = C::kRank / 4;

 public:
  __device__ __forceinline__ Converter(const CrossArgs& args, const Prepared& from, int row,
                                       int first, int warp, float* weights)
      : a_(args), warp_(warp) {
    lane_ = static_cast<int>(threadIdx.x) % 32;
    panel_ = warp / C::kWarpsOfPanel * kPanel;
    owned_ = args.d_inner - first;
    const int direction = row % args.directions;
    const int64_t walk = int64_t{row / args.directions} * from.walks + from.walk[direction];
    reverse_ = args.reverse[direction] != 0;
    // d_inner is a multiple of 8: a panel is all inside, or repeats the last one and is not stored.
    const int channel = min(first + panel_, args.d_inner - kPanel);
    u_ = from.u + (walk * args.d_inner + channel) * from.steps4;
    raw_ = from.raw + int64_t{row} * from.steps4 * C::kRank;
    bc_ = from.bc + int64_t{row} * from.steps4 * kStates2;
    steps4_ = from.steps4;
    y_ = static_cast<__half*>(args.partial) + int64_t{row} * args.steps * args.d_inner + first;
    const int64_t at = int64_t{direction} * args.d_inner + channel;
    const float* weights_of_panel = args.dt_weight + at * C::kRank;
    // They come from no earlier launch.
#pragma unroll
    for (int c = 0; c < kPanel; ++c) bias_[c] = load_here(args.dt_bias + at + c);
    if constexpr (C::kSharedWeights) {
      float* own = weights + warp * kPanel * C::kRank;
      for (int i = lane_; i < kPanel * C::kRank; i += 32) own[i] = load_here(weights_of_panel + i);
      shared_ = own;
      __syncwarp();  // this warp alone reads them
    } else {
#pragma unroll
      for (int i = 0; i < kPanel * C::kRank; ++i) {
        weight_[i / C::kRank][i % C::kRank] = load_here(weights_of_panel + i);
      }
    }
  }

  // Starts the reads of the tile that begins at `step`, `ahead` of the one that store() converts.
  // Steps past the end repeat the last one.
  __device__ __forceinline__ void load(int step, int ahead) {
#pragma unroll
    for (int i = 0; i < C::kUnits; ++i) {
      const int s = min(step + unit_step(i) + lane_, a_.steps - 1);
      u_bits_[ahead][i] =
          __ldg(reinterpret_cast<const uint4*>(u_) + (reverse_ ? a_.steps - 1 - s : s));
#pragma unroll
      for (int r = 0; r < kRankQuads; ++r) {
        raw_quads_[ahead][i][r] = __ldg(reinterpret_cast<const float4*>(raw_) + s * kRankQuads + r);
      }
    }
  }

  // Starts the copy of the tile's B and C, which `full` counts.
  __device__ __forceinline__ void copy(Stage<C>& stage, int step, uint64_t* full) const {
    const int steps = min(C::kTile, steps4_ - step);
    const float* from = bc_ + int64_t{step} * kStates2;
    copy_states<C::kConverters>(stage.bc, from, steps * kStates2, warp_ * 32 + lane_, full);
  }

  // Converts the nearest tile that load() read.
  __device__ __forceinline__ void store(Stage<C>& stage) const {
#pragma unroll
    for (int i = 0; i < C::kUnits; ++i) {
      float raw[C::kRank];
#pragma unroll
      for (int r = 0; r < kRankQuads; ++r) {
        const float4 v = raw_quads_[0][i][r];
        raw[4 * r] = v.x, raw[4 * r + 1] = v.y, raw[4 * r + 2] = v.z, raw[4 * r + 3] = v.w;
      }
      const uint4 u_bits = u_bits_[0][i];
      const uint32_t bits[4] = {u_bits.x, u_bits.y, u_bits.z, u_bits.w};
      const int to = panel_ * C::kRow + unit_step(i) + lane_;
#pragma unroll
      for (int c = 0; c < kPanel; c += 2) {
        const float2 u = Io<__half>::value2(bits[c / 2]);
        float dt[2] = {bias_[c], bias_[c + 1]};
#pragma unroll
        for (int r = 0; r < C::kRank; ++r) {
          dt[0] = fmaf(raw[r], weight(c, r), dt[0]);
          dt[1] = fmaf(raw[r], weight(c + 1, r), dt[1]);
        }
        dt[0] = softplus_for<__half>(dt[0]);
        dt[1] = softplus_for<__half>(dt[1]);
        stage.dt[to + c * C::kRow] = dt[0];
        stage.dt[to + (c + 1) * C::kRow] = dt[1];
        stage.du[to + c * C::kRow] = dt[0] * C::kScale * u.x;
        stage.du[to + (c + 1) * C::kRow] = dt[1] * C::kScale * u.y;
      }
    }
  }

  // The tiles behind the converted one move up.
  __device__ __forceinline__ void next() {
#pragma unroll
    for (int n = 1; n < C::kAhead; ++n) {
#pragma unroll
      for (int i = 0; i < C::kUnits; ++i) {
        u_bits_[n - 1][i] = u_bits_[n][i];
#pragma unroll
        for (int r = 0; r < kRankQuads; ++r) raw_quads_[n - 1][i][r] = raw_quads_[n][i][r];
      }
    }
  }

  // Stores the outputs of the tile that begins at `step`, 16 bytes of channels at a time.
  __device__ __forceinline__ void flush(const Stage<C>& stage, int step) const {
    const int there = a_.steps - step;
    constexpr int kTurns = C::kTile * C::kPanels / (32 * C::kConverters);
#pragma unroll
    for (int i = 0; i < kTurns; ++i) {
      const int piece = (i * C::kConverters + warp_) * 32 + lane_;
      const int s = piece / C::kPanels;
      const int channel = piece % C::kPanels * kPanel;
      if (s < there && channel < owned_) {
        *reinterpret_cast<uint4*>(y_ + int64_t{step + s} * a_.d_inner + channel) =
            *reinterpret_cast<const uint4*>(stage.y + s * C::kOutRow + channel);
      }
    }
  }

 private:
  __device__ __forceinline__ float weight(int c, int r) const {
    return C::kSharedWeights ? shared_[c * C::kRank + r] : weight_[c][r];
  }

  // First step, inside a tile, of this warp's unit i.
  __device__ __forceinline__ int unit_step(int i) const {
    return (warp_ % C::kWarpsOfPanel + i * C::kWarpsOfPanel) * 32;
  }

  const CrossArgs& a_;
  const __half* u_;
  const float* raw_;
  const float* bc_;
  __half* y_;
  int steps4_;
  int warp_;
  int lane_;
  int panel_;  // first channel of this warp's panel, inside the block
  int owned_;  // channels from the block's first to the end
  bool reverse_;
  float bias_[kPanel];
  float weight_[kPanel][C::kRank];  // of dt,
  const float* shared_ = nullptr;   // or these
  uint4 u_bits_[C::kAhead][C::kUnits];
  float4 raw_quads_[C::kAhead][C::kUnits][kRankQuads];
};

}  // namespace posemamba::cuda::split_channel
