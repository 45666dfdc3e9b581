// Gated rows of a block: y = sum of the directions' scans + D u, LayerNorm, times SiLU(z). Every
// read of a row is started before the first is used; who reads when is the caller's affair.
#pragma once

#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/rows.cuh"
#include "cuda/scan/cross_args.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

// What one batch item's rows are made of, at the item's first position.
struct GateSource {
  const __half* partial;
  const __half* u;
  const __half* z;
};

__device__ __forceinline__ GateSource gate_source(const CrossArgs& c, const pm_block_tail_params& a,
                                                  int64_t item) {
  const int64_t plane = int64_t{c.steps} * c.d_inner;
  const int64_t first = item * c.steps;
  return {static_cast<const __half*>(c.partial) + item * c.directions * plane,
          static_cast<const __half*>(c.x) + first * c.x_stride,
          static_cast<const __half*>(a.z) + first * a.z_stride};
}

// Count rows in a warp's registers, on RowGroup's lanes.
template <int D, int Count, int Lanes = 32>
struct GateRows {
  static constexpr int kInner = 2 * D;
  static constexpr int kFour = 4;  // directions read at once, all of PoseMamba's
  using Bits = RowBits<kInner, Lanes>;
  using Group = RowGroup<kInner, Count, false, Lanes>;

  Bits part[Count][kFour];
  Bits own[Count];
  Bits other[Count];  // u of the limb neighbour
  Bits gate[Count];

  static __device__ __forceinline__ const __half* direction(const CrossArgs& c,
                                                            const GateSource& from, int k,
                                                            GridPoint at) {
    const int step = c.step_base[k] + c.step_frame[k] * at.frame + c.step_joint[k] * at.joint;
    return from.partial + int64_t{k * c.steps + step} * kInner;
  }

  // The first `directions` of at most four; `limb` is the joint whose u they may add.
  __device__ __forceinline__ void load(int r, const CrossArgs& c, const pm_block_tail_params& a,
                                       int directions, const GateSource& from, int position,
                                       GridPoint at, int limb, int lane) {
#pragma unroll
    for (int k = 0; k < kFour; ++k) {
      if (k < directions) part[r][k].load(direction(c, from, k, at), lane);
    }
    const int u_stride = static_cast<int>(c.x_stride);
    own[r].load(from.u + int64_t{position} * u_stride, lane);
    other[r].load(from.u + int64_t{position - at.joint + limb} * u_stride, lane);
    gate[r].load(from.z + int64_t{position} * static_cast<int>(a.z_stride), lane);
  }

  // y = D u of every row.
  template <class Vectors>
  __device__ __forceinline__ void skip(const Vectors& v, int lane, Group& y) const {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const float4 all = v.template gate_quad<Lanes>(v.skip[0], q, lane);
      const float4 masked = v.template gate_quad<Lanes>(v.skip[1], q, lane);
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        const float4 u = quad_of(own[r].quad[q]);
        y.quad[r][q] = fma4(masked, quad_of(other[r].quad[q]),
                            make_float4(all.x * u.x, all.y * u.y, all.z * u.z, all.w * u.w));
      }
    }
  }
  // Then the directions, ascending.
  __device__ __forceinline__ void add_directions(int directions, Group& y) const {
#pragma unroll
    for (int r = 0; r < Count; ++r) {
#pragma unroll
      for (int q = 0; q < Group::kQuads; ++q) {
#pragma unroll
        for (int k = 0; k < kFour; ++k) {
          if (k < directions) y.quad[r][q] = y.quad[r][q] + quad_of(part[r][k].quad[q]);
        }
      }
    }
  }
};

// y * SiLU(gate): put(r, channel, bits) takes a row's eight channels from there on (four below
// 256).
template <int Channels, int Count, int Lanes, class Gate, class Put>
__device__ __forceinline__ void each_gated(const RowGroup<Channels, Count, false, Lanes>& y,
                                           Gate&& gate, int lane, Put&& put) {
  using Group = RowGroup<Channels, Count, false, Lanes>;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const auto gated = [&](int q) {
      const float4 g = quad_of(gate(r, q));
      const float4 n = y.quad[r][q];
      return bits_of(
          make_float4(n.x * silu(g.x), n.y * silu(g.y), n.z * silu(g.z), n.w * silu(g.w)));
    };
    if constexpr (Group::kQuads == 1) {
      put(r, Group::channel(0, lane), gated(0));
    } else {
#pragma unroll
      for (int q = 0; q < Group::kQuads; q += 2) {  // eight neighbouring channels
        const uint2 low = gated(q), high = gated(q + 1);
        put(r, Group::channel(q, lane), make_uint4(low.x, low.y, high.x, high.y));
      }
    }
  }
}

// Writes them; at(r, channel) is where they go.
template <int Channels, int Count, int Lanes, class At>
__device__ __forceinline__ void write_gated(const RowGroup<Channels, Count, false, Lanes>& y,
                                            const RowBits<Channels, Lanes> (&gate)[Count], int lane,
                                            At&& at) {
  each_gated(
      y, [&](int r, int q) { return gate[r].quad[q]; }, lane,
      [&](int r, int channel, auto bits) {
        *reinterpret_cast<decltype(bits)*>(at(r, channel)) = bits;
      });
}

// The same, Count rows `stride` halves apart.
template <int Channels, int Count>
__device__ __forceinline__ void write_gated(const RowGroup<Channels, Count>& y,
                                            const RowBits<Channels> (&gate)[Count], int lane,
                                            __half* to, int stride) {
  write_gated(y, gate, lane, [&](int r, int channel) { return to + r * stride + channel; });
}

}  // namespace posemamba::cuda
