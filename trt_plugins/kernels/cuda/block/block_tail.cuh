// Everything row-wise between two scans, in one launch: sum of the directions, out_norm, gate,
// out_proj, residual, norm2, MLP, residual, shared norm, and the next block's norm and in_proj (or
// the head). fp16 operands on the tensor cores, float32 everywhere else.
#ifndef POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_
#define POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_

#include "cuda/device/mma.cuh"
#include "cuda/device/rows.cuh"
#include "cuda/scan/cross_args.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kTailRows = 32;  // positions of a thread block

// A block's product: K inputs to N outputs for its 32 rows, column tiles dealt out to the warps.
// With more warps than tiles, two share a tile and take 16 rows each; warps beyond that rest.
template <int K, int N, int Warps>
struct BlockProduct {
  static constexpr int kTiles = N / 16;
  static constexpr bool kSplitRows = kTiles < Warps;
  static constexpr int kPerWarp = kSplitRows ? 1 : kTiles / Warps;
  static constexpr int kAtOnce = kPerWarp < 2 ? kPerWarp : 2;
  static constexpr int kWords = Warps == 8 ? 4 : 8;  // of weights in flight, for the registers
  static_assert(kSplitRows || kTiles % Warps == 0, "tiles for every warp");

  WarpProduct<K, kSplitRows ? 1 : 2, kAtOnce, kWords> product;
  const void* packed;
  int warp;
  int lane;

  __device__ __forceinline__ int tile(int pass) const {
    return kSplitRows ? warp % kTiles : (pass * Warps + warp) * kAtOnce;
  }
  __device__ __forceinline__ bool busy() const { return !kSplitRows || warp < 2 * kTiles; }

  __device__ __forceinline__ void prime(const void* weights, int warp_of_block, int lane_of_warp) {
    packed = weights, warp = warp_of_block, lane = lane_of_warp;
    if (busy()) product.prime(packed, tile(0), lane);
  }
  // put(row, column, two neighbouring values)
  template <class Put>
  __device__ __forceinline__ void run(const __half* a, int stride, Put&& put) {
    if (!busy()) return;
    const int row0 = kSplitRows ? warp / kTiles * 16 : 0;
#pragma unroll 1
    for (int pass = 0; pass < kPerWarp / kAtOnce; ++pass) {
      product.run(a, stride, row0, lane);
      const int column0 = tile(pass) * 16;
      if ((pass + 1) * kAtOnce < kPerWarp) product.prime(packed, tile(pass + 1), lane);
      product.each(row0, lane,
                   [&](int row, int column, float2 v) { put(row, column0 + column, v); });
    }
  }
};

// pm_block_tail_params::vectors, as they lie.
template <int D>
struct TailVectors {
  float out_norm[2][2 * D];
  float skip[2][2 * D];  // sum of D over all directions, over those with a limb sum
  float norm2[2][D];
  float shared_norm[2][D];
  float next_norm[2][D];
  float fc1_bias[2 * D];
  float fc2_bias[D];
};
static_assert(sizeof(TailVectors<64>) == 17 * 64 * sizeof(float), "as block_cuda.h says");

// Rows are padded: by 16 bytes for ldmatrix, the float rows by 32 so that the 8-byte accesses of an
// accumulator (4 rows at a time) fall into different banks.
template <int D>
struct TailShared {
  static constexpr int kWide = 2 * D + kRowPad;
  static constexpr int kNarrow = D + kRowPad;
  static constexpr int kStream = D + 8;
  static constexpr int kOut = 4 * D + kRowPad;

  struct Work {
    alignas(16) __half wide[kTailRows * kWide];     // gated rows, then the MLP's hidden ones
    alignas(16) float stream[kTailRows * kStream];  // the residual stream
  };
  union {
    Work work;
    alignas(16) __half out[kTailRows * kOut];  // xz of the next block, once the work is done
  };
  union {
    alignas(16) __half narrow[kTailRows * kNarrow];  // normalised rows
    unsigned char limb[PM_MAX_JOINTS];               // until the rows are gated
  };
  alignas(16) TailVectors<D> vectors;
};
// A thread block of sm_86, sm_89 and sm_120 may have 99 KiB: X just fits.
static_assert(sizeof(TailShared<256>) <= 99 * 1024, "more shared memory than an RTX 30 or 40 has");

// 16-byte asynchronous copies to shared memory, and the wait for all of a thread's.
__device__ __forceinline__ void copy_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
               : "memory");
}
__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Where a warp's rows lie. Rows past the end of an item repeat its last position and store nothing.
struct Place {
  int64_t item;  // first position of the batch item
  int first;     // position of the block's row 0
  int steps;
  int row0;  // first row of this warp
  int warp;
  int lane;

  __device__ __forceinline__ int position(int row) const { return min(first + row, steps - 1); }
  __device__ __forceinline__ bool inside(int row) const { return first + row < steps; }
};

template <int Warps>
__device__ __forceinline__ Place place_of(int steps) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  return {int64_t{blockIdx.y} * steps,
          static_cast<int>(blockIdx.x) * kTailRows,
          steps,
          warp * (kTailRows / Warps),
          warp,
          static_cast<int>(threadIdx.x) % 32};
}

// Count gated rows from `row0` on: y = sum of directions + D u, out_norm, times SiLU(z), to shared
// memory. Every read of a row is started before the first is used.
template <int D, int Count>
__device__ __forceinline__ void gate_rows(TailShared<D>& shared, const CrossArgs& c,
                                          const pm_block_tail_params& a, const Place& place,
                                          int row0) {
  constexpr int kInner = 2 * D;
  constexpr int kFour = 4;  // directions read at once, all of PoseMamba's
  using Group = RowGroup<kInner, Count>;
  const int64_t plane = int64_t{c.steps} * kInner;
  const auto* partial =
      static_cast<const __half*>(c.partial) + int64_t{blockIdx.y} * c.directions * plane;
  const auto* u = static_cast<const __half*>(c.x) + place.item * c.x_stride;
  const auto* z = static_cast<const __half*>(a.z) + place.item * a.z_stride;
  RowBits<kInner> part[Count][kFour];
  RowBits<kInner> own[Count];
  RowBits<kInner> other[Count];
  RowBits<kInner> gate[Count];
  Group y;
  GridPoint at[Count];
  const auto from = [&](int k, GridPoint p) {
    const int step = c.step_base[k] + c.step_frame[k] * p.frame + c.step_joint[k] * p.joint;
    return partial + k * plane + int64_t{step} * kInner;
  };
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const int position = place.position(row0 + r);
    at[r].frame = position / c.joints;
    at[r].joint = position - at[r].frame * c.joints;
    const int limb = position - at[r].joint + shared.limb[at[r].joint];
#pragma unroll
    for (int k = 0; k < kFour; ++k) {
      if (k < c.directions) part[r][k].load(from(k, at[r]), place.lane);
    }
    own[r].load(u + position * c.x_stride, place.lane);
    other[r].load(u + limb * c.x_stride, place.lane);
    gate[r].load(z + position * a.z_stride, place.lane);
  }
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
      for (int k = 0; k < kFour; ++k) {
        if (k < c.directions) sum = sum + quad_of(part[r][k].quad[q]);
      }
      y.quad[r][q] = sum;
    }
  }
#pragma unroll 1
  for (int k = kFour; k < c.directions; ++k) {
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      part[r][0].load(from(k, at[r]), place.lane);
#pragma unroll
      for (int q = 0; q < Group::kQuads; ++q) {
        y.quad[r][q] = y.quad[r][q] + quad_of(part[r][0].quad[q]);
      }
    }
  }
  const TailVectors<D>& v = shared.vectors;
#pragma unroll
  for (int q = 0; q < Group::kQuads; ++q) {
    const int channel = Group::channel(q, place.lane);
    if (!Group::used(place.lane)) continue;
    const float4 all = read_quad(v.skip[0] + channel);
    const float4 masked = read_quad(v.skip[1] + channel);
#pragma unroll
    for (int r = 0; r < Count; ++r) {
      y.quad[r][q] = fma4(all, quad_of(own[r].quad[q]), y.quad[r][q]);
      y.quad[r][q] = fma4(masked, quad_of(other[r].quad[q]), y.quad[r][q]);
    }
  }
  y.normalize(v.out_norm[0], v.out_norm[1], a.out_epsilon, place.lane);
  if (!Group::used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const float4 g = quad_of(gate[r].quad[q]);
      const float4 n = y.quad[r][q];
      write_quad(
          shared.work.wide + (row0 + r) * TailShared<D>::kWide + Group::channel(q, place.lane),
          make_float4(n.x * silu(g.x), n.y * silu(g.y), n.z * silu(g.z), n.w * silu(g.w)));
    }
  }
}

template <int D, int Count>
__device__ __forceinline__ void read_stream(const TailShared<D>& shared, const Place& place,
                                            RowGroup<D, Count>& rows) {
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!rows.used(place.lane)) continue;
      rows.quad[r][q] = read_quad(shared.work.stream + (place.row0 + r) * TailShared<D>::kStream +
                                  rows.channel(q, place.lane));
    }
  }
}

template <int D, int Count>
__device__ __forceinline__ void write_narrow(TailShared<D>& shared, const Place& place,
                                             const RowGroup<D, Count>& rows) {
  if (!rows.used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      write_quad(
          shared.narrow + (place.row0 + r) * TailShared<D>::kNarrow + rows.channel(q, place.lane),
          rows.quad[r][q]);
    }
  }
}

// poses_3d = rows * head_weight^T + head_bias
template <int D, int Count>
__device__ __forceinline__ void write_poses(const pm_next_params& next, const Place& place,
                                            const RowGroup<D, Count>& rows) {
  float sums[Count * 3];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
#pragma unroll
    for (int r = 0; r < Count; ++r) sums[r * 3 + axis] = 0.0f;
    if (!rows.used(place.lane)) continue;
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      const float4 w = read_quad(next.head_weight + axis * D + rows.channel(q, place.lane));
#pragma unroll
      for (int r = 0; r < Count; ++r) {
        sums[r * 3 + axis] += sum4(fma4(rows.quad[r][q], w, make_float4(0, 0, 0, 0)));
      }
    }
  }
  warp_sums(sums);
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    if (place.lane != 0 || !place.inside(place.row0 + r)) continue;
    float* to = next.poses_3d + (place.item + place.first + place.row0 + r) * 3;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) to[axis] = sums[r * 3 + axis] + next.head_bias[axis];
  }
}

// Stores the stream, normalises it for what follows, and runs that: in_proj or the head.
template <int D, int Warps>
__device__ __forceinline__ void run_next(TailShared<D>& shared, const pm_next_params& next,
                                         float* stream, const Place& place,
                                         RowGroup<D, kTailRows / Warps>& rows) {
  using Shared = TailShared<D>;
  constexpr int kCount = kTailRows / Warps;
  BlockProduct<D, 4 * D, Warps> in_proj;
  if (next.xz != nullptr) in_proj.prime(next.in_proj, place.warp, place.lane);
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    if (!rows.used(place.lane) || !place.inside(place.row0 + r)) continue;
    float* to = stream + (place.item + place.first + place.row0 + r) * D;
#pragma unroll
    for (int q = 0; q < RowGroup<D, kCount>::kQuads; ++q) {
      write_quad(to + rows.channel(q, place.lane), rows.quad[r][q]);
    }
  }
  const TailVectors<D>& v = shared.vectors;
  rows.normalize(v.next_norm[0], v.next_norm[1], next.epsilon, place.lane);
  if (next.xz == nullptr) {
    write_poses<D, kCount>(next, place, rows);
    return;
  }
  write_narrow<D, kCount>(shared, place, rows);
  __syncthreads();  // the rows are complete, and nobody reads `work` any more
  in_proj.run(shared.narrow, Shared::kNarrow, [&](int row, int column, float2 v) {
    put_half2(shared.out + row * Shared::kOut + column, v);
  });
  __syncthreads();                    // the outputs are complete
  constexpr int kPieces = 4 * D / 8;  // 16 bytes each
  auto* xz = static_cast<__half*>(next.xz) + (place.item + place.first) * 4 * D;
  const int left = place.steps - place.first;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < kTailRows * kPieces; i += 32 * Warps) {
    const int row = i / kPieces;
    const int column = i % kPieces * 8;
    if (row >= left) break;
    *reinterpret_cast<uint4*>(xz + row * 4 * D + column) =
        *reinterpret_cast<const uint4*>(shared.out + row * Shared::kOut + column);
  }
}

// A block owns 32 positions of one batch item. 16 warps run one block an SM (128 registers a
// thread), 8 warps two or, where shared memory allows, three (80 registers).
template <int D, int Warps>
__global__ void __launch_bounds__(32 * Warps, Warps == 16 ? 1 : (D > 128 ? 2 : 3))
    block_tail_kernel(const __grid_constant__ CrossArgs c,
                      const __grid_constant__ pm_block_tail_params a) {
  using Shared = TailShared<D>;
  constexpr int kInner = 2 * D;
  constexpr int kCount = kTailRows / Warps;                // rows a warp normalises
  constexpr int kAtOnce = Warps == 16 && D < 256 ? 2 : 1;  // rows gated at once, for the registers
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const Place place = place_of<Warps>(c.steps);

  for (int i = thread; i < static_cast<int>(sizeof(TailVectors<D>) / 16); i += 32 * Warps) {
    copy_async(reinterpret_cast<float4*>(&shared.vectors) + i,
               reinterpret_cast<const float4*>(a.vectors) + i);
  }
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  BlockProduct<kInner, D, Warps> out_proj;
  out_proj.prime(a.out_proj, place.warp, place.lane);
  copies_done();
  __syncthreads();    // the parameters are there
  dependency_wait();  // the directions, u, z and the residual come from earlier launches
  dependency_release();

  constexpr int kPieces = D / 4;  // of a row of the stream, 16 bytes each
#pragma unroll
  for (int i = place.lane; i < kCount * kPieces; i += 32) {
    const int row = place.row0 + i / kPieces;
    const int channel = i % kPieces * 4;
    copy_async(shared.work.stream + row * Shared::kStream + channel,
               a.residual + (place.item + place.position(row)) * D + channel);
  }
#pragma unroll 1
  for (int r = 0; r < kCount; r += kAtOnce) {
    gate_rows<D, kAtOnce>(shared, c, a, place, place.row0 + r);
  }
  copies_done();
  __syncthreads();  // gated rows and residual are complete; nobody reads `limb` any more
  const TailVectors<D>& v = shared.vectors;
  const auto add_to_stream = [&](int row, int column, float2 value) {
    auto* at = reinterpret_cast<float2*>(shared.work.stream + row * Shared::kStream + column);
    const float2 old = *at;
    *at = make_float2(old.x + value.x, old.y + value.y);
  };
  out_proj.run(shared.work.wide, Shared::kWide, add_to_stream);

  BlockProduct<D, kInner, Warps> fc1;
  fc1.prime(a.fc1, place.warp, place.lane);
  __syncthreads();  // the sums are complete
  RowGroup<D, kCount> rows;
  read_stream<D, kCount>(shared, place, rows);
  rows.normalize(v.norm2[0], v.norm2[1], a.norm2_epsilon, place.lane);
  write_narrow<D, kCount>(shared, place, rows);
  __syncthreads();  // the normalised rows are complete; nobody reads the gated ones any more
  fc1.run(shared.narrow, Shared::kNarrow, [&](int row, int column, float2 value) {
    const float2 bias = *reinterpret_cast<const float2*>(v.fc1_bias + column);
    put_half2(shared.work.wide + row * Shared::kWide + column,
              make_float2(gelu(value.x + bias.x), gelu(value.y + bias.y)));
  });
  BlockProduct<kInner, D, Warps> fc2;
  fc2.prime(a.fc2, place.warp, place.lane);
  __syncthreads();  // the hidden rows are complete
  fc2.run(shared.work.wide, Shared::kWide, [&](int row, int column, float2 value) {
    const float2 bias = *reinterpret_cast<const float2*>(v.fc2_bias + column);
    add_to_stream(row, column, make_float2(value.x + bias.x, value.y + bias.y));
  });
  __syncthreads();  // the sums are complete

  read_stream<D, kCount>(shared, place, rows);
  rows.normalize(v.shared_norm[0], v.shared_norm[1], a.shared_epsilon, place.lane);
  if (a.position != nullptr && rows.used(place.lane)) {
#pragma unroll
    for (int r = 0; r < kCount; ++r) {
      const float* at = a.position + place.position(place.row0 + r) / c.joints * D;
#pragma unroll
      for (int q = 0; q < RowGroup<D, kCount>::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(at + rows.channel(q, place.lane));
      }
    }
  }
  run_next<D, Warps>(shared, a.next, a.stream, place, rows);
}

// The network's first rows: two keypoint coordinates to D channels, joint position, then as after a
// block.
template <int D>
__global__ void __launch_bounds__(256, 2) embed_kernel(const __grid_constant__ pm_embed_params a) {
  constexpr int kWarps = 8;
  constexpr int kCount = kTailRows / kWarps;
  using Rows = RowGroup<D, kCount>;
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<TailShared<D>*>(memory);
  const Place place = place_of<kWarps>(static_cast<int>(a.frames) * a.joints);
  for (int i = static_cast<int>(threadIdx.x); i < 2 * D; i += 32 * kWarps) {
    shared.vectors.next_norm[i / D][i % D] = __ldg(a.next_norm + i);
  }
  __syncthreads();    // the parameters are there
  dependency_wait();  // the keypoints may come from an earlier launch
  dependency_release();
  Rows rows;
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    const int position = place.position(place.row0 + r);
    const float2 point =
        __ldg(reinterpret_cast<const float2*>(a.keypoints_2d) + place.item + position);
    const float* joint = a.joint_position + position % a.joints * D;
#pragma unroll
    for (int q = 0; q < Rows::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!Rows::used(place.lane)) continue;
      const int channel = Rows::channel(q, place.lane);
      const float4 low = read_quad(a.weight + channel * 2);       // two channels, x and y of each
      const float4 high = read_quad(a.weight + channel * 2 + 4);  // the next two
      const float4 product = make_float4(
          fmaf(point.x, low.x, point.y * low.y), fmaf(point.x, low.z, point.y * low.w),
          fmaf(point.x, high.x, point.y * high.y), fmaf(point.x, high.z, point.y * high.w));
      rows.quad[r][q] = product + read_quad(a.bias + channel) + read_quad(joint + channel);
    }
  }
  run_next<D, kWarps>(shared, a.next, a.stream, place, rows);
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_
