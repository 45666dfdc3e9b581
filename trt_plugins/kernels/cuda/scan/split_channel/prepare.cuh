// The preparing kernel of the split-channel design. A thread block owns 32 steps of one walk (its
// panels of u) or direction (its other rows). Four neighbouring steps and eight neighbouring pieces
// of a row make a warp, so both sides of the transposition move at least 64 bytes at a time.
#pragma once

#include "cuda/scan/clear.cuh"
#include "cuda/scan/split_channel/config.cuh"

namespace posemamba::cuda::split_channel {

__device__ __forceinline__ uint4 read_16(const __half* base, unsigned bytes) {
  return __ldg(reinterpret_cast<const uint4*>(byte_at(base, bytes)));
}

// A block's steps of one walk: where their rows lie.
struct Block {
  const Places* places;
  int64_t batch;
  int step0;
  bool masked;
};

// Panels of u. Up to four pieces a thread are under way at once: latency is most of what this costs
// at batch 1.
__device__ __forceinline__ void prepare_u(const CrossArgs& a, const Prepared& to, const Block& b,
                                          int walk) {
  constexpr int kAtOnce = 4;
  constexpr int kWarps = kPrepareThreads / 32;
  const int thread = static_cast<int>(threadIdx.x);
  const int panels = a.d_inner / kPanel;
  const int pieces = (panels + 7) / 8;  // of eight neighbouring panels, a warp's at a time
  const __half* x = static_cast<const __half*>(a.x) + b.batch * a.steps * a.x_stride;
  const auto bytes = static_cast<unsigned>(a.x_stride * sizeof(__half));
  __half* u = to.u + (b.batch * to.walks + walk) * panels * to.steps4 * kPanel;
#pragma unroll 1
  for (int i0 = thread / 32; i0 < pieces * (kPrepareSteps / 4); i0 += kAtOnce * kWarps) {
    uint4 own[kAtOnce];
    uint4 other[kAtOnce];
    int panel[kAtOnce];
    int s[kAtOnce];
    bool used[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int i = i0 + n * kWarps;
      panel[n] = i % pieces * 8 + thread / 4 % 8;
      s[n] = i / pieces * 4 + thread % 4;
      used[n] = s[n] < kPrepareSteps && panel[n] < panels && b.step0 + s[n] < to.steps4;
      if (!used[n]) continue;
      own[n] = read_16(x + panel[n] * kPanel, b.places[s[n]].own * bytes);
      if (b.masked) other[n] = read_16(x + panel[n] * kPanel, b.places[s[n]].limb * bytes);
    }
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      if (!used[n]) continue;
      *reinterpret_cast<uint4*>(u + (int64_t{panel[n]} * to.steps4 + b.step0 + s[n]) * kPanel) =
          b.masked ? sum_16<__half>(own[n], other[n]) : own[n];
    }
  }
}

// B, C and dt inputs of one direction.
template <int Rank>
__device__ __forceinline__ void prepare_rows(const CrossArgs& a, const Prepared& to, const Block& b,
                                             int direction) {
  constexpr int kRankQuads = Rank / 4;
  static_assert(kPrepareThreads == kPrepareSteps * kStates2 / 4, "a piece a thread");
  const int thread = static_cast<int>(threadIdx.x);
  const __half* dbl = static_cast<const __half*>(a.x_dbl) + b.batch * a.steps * a.x_dbl_stride +
                      direction * (Rank + kStates2);
  const auto bytes = static_cast<unsigned>(a.x_dbl_stride * sizeof(__half));
  const int64_t row = b.batch * a.directions + direction;
  struct Read {
    Quad<__half> own;
    Quad<__half> other;
  };
  const auto read = [&](int s, int column) {
    Read r{};
    r.own.load(byte_at(dbl + column, b.places[s].own * bytes));
    if (b.masked) r.other.load(byte_at(dbl + column, b.places[s].limb * bytes));
    return r;
  };
  const auto value = [&](const Read& r) {
    return b.masked ? sum4(r.own.value(), r.other.value()) : r.own.value();
  };
  // A step of the last group of four that is past the end repeats the last one, in its place.
  const auto place = [&](int s) {
    const int step = b.step0 + s;
    return a.reverse[direction] != 0 && step < a.steps ? a.steps - 1 - step : step;
  };
  const int piece = thread / 4 % 8;
  const int s = thread / 32 * 4 + thread % 4;
  const int raw_s = thread / kRankQuads;
  const int column = thread % kRankQuads * 4;
  const bool raw = thread < kPrepareSteps * kRankQuads && b.step0 + raw_s < to.steps4;
  const Read states = read(s, Rank + piece * 4);
  if (raw) {  // both reads are under way before the first is used
    *reinterpret_cast<float4*>(to.raw + (row * to.steps4 + place(raw_s)) * Rank + column) =
        value(read(raw_s, column));
  }
  if (b.step0 + s >= to.steps4) return;
  const int step = place(s);
  const float4 v = value(states);
  float* bc = to.bc + (row * to.steps4 + step / 4 * 4) * kStates2 + step % 4 + piece * 16;
  bc[0] = v.x, bc[4] = v.y, bc[8] = v.z, bc[12] = v.w;
}

// blockIdx.x counts steps, blockIdx.z batch items; blockIdx.y the walks, then the directions.
template <int Rank>
__global__ void __launch_bounds__(kPrepareThreads)
    prepare_kernel(const __grid_constant__ CrossArgs a, const __grid_constant__ Prepared to) {
  __shared__ Places places[kPrepareSteps];
  __shared__ unsigned char limb[PM_MAX_JOINTS];
  const int thread = static_cast<int>(threadIdx.x);
  const int part = static_cast<int>(blockIdx.y);
  const int direction = part < to.walks ? to.first[part] : part - to.walks;
  const Block block{places, blockIdx.z, static_cast<int>(blockIdx.x) * kPrepareSteps,
                    a.limb_mask[direction] != 0};
  if (thread < PM_MAX_JOINTS) limb[thread] = a.limb_index[thread];
  __syncthreads();  // the limb table is complete
  if (thread < kPrepareSteps) {
    places[thread] = places_of(a, a.order[direction], block.step0 + thread, limb);
  }
  __syncthreads();    // so are the places
  dependency_wait();  // x and x_dbl come from earlier launches
  dependency_release();
  clear_share(to.clear);
  if (part < to.walks) {
    prepare_u(a, to, block, part);
  } else {
    prepare_rows<Rank>(a, to, block, direction);
  }
}

}  // namespace posemamba::cuda::split_channel
