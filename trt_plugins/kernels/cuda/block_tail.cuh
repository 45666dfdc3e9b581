// Everything row-wise between two scans, in one launch: sum of the directions, out_norm, gate,
// out_proj, residual, norm2, MLP, residual, shared norm, and the next block's norm and in_proj (or
// the head). fp16 operands on the tensor cores, float32 everywhere else.
#ifndef POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_
#define POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_

#include "cuda/cross_args.cuh"
#include "cuda/mma.cuh"
#include "cuda/rows.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kWarps = 8;  // of a group
constexpr int kGroupThreads = 32 * kWarps;
constexpr int kGroupRows = 32;                  // positions of a group
constexpr int kWarpRows = kGroupRows / kWarps;  // rows a warp normalises
constexpr float kRootHalf = 0.70710678118654752440f;

// A group's product: K inputs to N outputs for its 32 rows, columns dealt out to its warps. Where
// there are fewer than 8 column tiles, two warps share one and take 16 rows each.
template <int K, int N>
struct GroupProduct {
  static constexpr int kTiles = N / 16;
  static constexpr bool kSplitRows = kTiles < kWarps;
  static constexpr int kPerWarp = kSplitRows ? 1 : kTiles / kWarps;
  static constexpr int kAtOnce = kPerWarp < 2 ? kPerWarp : 2;
  static_assert(kSplitRows ? kTiles * 2 == kWarps : kTiles % kWarps == 0, "tiles for every warp");

  WarpProduct<K, kSplitRows ? 1 : 2, kAtOnce> product;
  const void* packed;
  int warp;
  int lane;

  __device__ __forceinline__ int tile(int pass) const {
    return kSplitRows ? warp % kTiles : (pass * kWarps + warp) * kAtOnce;
  }
  __device__ __forceinline__ void prime(const void* weights, int warp_of_group, int lane_of_warp) {
    packed = weights, warp = warp_of_group, lane = lane_of_warp;
    product.prime(packed, tile(0), lane);
  }
  // put(row of the block, column, two neighbouring values)
  template <class Put>
  __device__ __forceinline__ void run(const __half* a, int stride, int group_row, Put&& put) {
    const int row0 = group_row + (kSplitRows ? warp / kTiles * 16 : 0);
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

// Rows are padded: by 16 bytes for ldmatrix, the float rows by 32 so that the 8-byte accesses of an
// accumulator (4 rows at a time) fall into different banks.
template <int D, int Groups>
struct TailShared {
  static constexpr int kRows = kGroupRows * Groups;
  static constexpr int kInner = 2 * D;
  static constexpr int kWide = kInner + kRowPad;
  static constexpr int kNarrow = D + kRowPad;
  static constexpr int kStream = D + 8;
  static constexpr int kOut = 4 * D + kRowPad;

  struct Work {
    alignas(16) __half wide[kRows * kWide];     // gated rows, then the MLP's hidden ones
    alignas(16) float stream[kRows * kStream];  // the residual stream
  };
  union {
    Work work;
    alignas(16) __half out[kRows * kOut];  // xz of the next block, once the work is done
  };
  alignas(16) __half narrow[kRows * kNarrow];  // normalised rows
  // Parameters, read before the kernel waits for its predecessor.
  alignas(16) float out_norm[2][kInner];
  alignas(16) float norm2[2][D];
  alignas(16) float shared_norm[2][D];
  alignas(16) float next_norm[2][D];
  alignas(16) float fc1_bias[kInner];
  alignas(16) float fc2_bias[D];
  alignas(16) float skip[2][kInner];  // sum of D over all directions, over those with a limb sum
  unsigned char limb[PM_MAX_JOINTS];
};

__device__ __forceinline__ void share(float* to, const float* from, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    to[i] = __ldg(from + i);
  }
}
template <int Count>
__device__ __forceinline__ void share(float (&to)[2][Count], const pm_norm& norm) {
  share(to[0], norm.gamma, Count);
  share(to[1], norm.beta, Count);
}

__device__ __forceinline__ float gelu(float v) { return 0.5f * v * (1.0f + erff(v * kRootHalf)); }

// Where a warp's rows lie. Rows past the end of an item repeat its last position and store nothing.
struct Place {
  int64_t item;  // first position of the batch item
  int first;     // position of the block's row 0
  int steps;
  int row0;  // first row of this warp
  int lane;

  __device__ __forceinline__ int position(int row) const { return min(first + row, steps - 1); }
  __device__ __forceinline__ bool inside(int row) const { return first + row < steps; }
};

// Gated rows Row0 ... of y = sum of directions + D u: out_norm, times SiLU(z), to shared memory.
template <int D, int Groups, int Count>
__device__ __forceinline__ void gate_rows(TailShared<D, Groups>& shared, const CrossArgs& c,
                                          const pm_block_tail_params& a, const Place& place,
                                          int row0) {
  constexpr int kInner = 2 * D;
  using Group = RowGroup<kInner, Count>;
  const int64_t plane = int64_t{c.steps} * kInner;
  const auto* partial =
      static_cast<const __half*>(c.partial) + int64_t{blockIdx.y} * c.directions * plane;
  const auto* u = static_cast<const __half*>(c.x) + place.item * c.x_stride;
  const auto* z = static_cast<const __half*>(a.z) + place.item * a.z_stride;
  Group y;
  uint2 gate[Count][Group::kQuads];
#pragma unroll
  for (int r = 0; r < Count; ++r) {
    const int position = place.position(row0 + r);
    const int frame = position / c.joints;
    const int joint = position - frame * c.joints;
    const int64_t limb = frame * c.joints + shared.limb[joint];
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const int channel = Group::channel(q, place.lane);
      const auto quad = [&](const __half* row) {
        return __ldg(reinterpret_cast<const uint2*>(row + channel));
      };
      const float4 own = quad_of(quad(u + position * c.x_stride));
      const float4 other = quad_of(quad(u + limb * c.x_stride));
      // Not through the read-only path: xz, written at the end, may be where z lies.
      gate[r][q] = *reinterpret_cast<const uint2*>(z + position * a.z_stride + channel);
      const float4 zero = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      float4 sum = fma4(read_quad(shared.skip[0] + channel), own, zero);
      sum = fma4(read_quad(shared.skip[1] + channel), other, sum);
#pragma unroll 4
      for (int k = 0; k < c.directions; ++k) {
        const int64_t step = c.step_base[k] + c.step_frame[k] * frame + c.step_joint[k] * joint;
        sum = sum + quad_of(quad(partial + k * plane + step * kInner));
      }
      y.quad[r][q] = sum;
    }
  }
  y.normalize(shared.out_norm[0], shared.out_norm[1], a.out_norm.epsilon, place.lane);
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < Group::kQuads; ++q) {
      const float4 g = quad_of(gate[r][q]);
      const float4 v = y.quad[r][q];
      write_quad(shared.work.wide + (row0 + r) * TailShared<D, Groups>::kWide +
                     Group::channel(q, place.lane),
                 make_float4(v.x * silu(g.x), v.y * silu(g.y), v.z * silu(g.z), v.w * silu(g.w)));
    }
  }
}

// Copies this warp's rows of the residual stream to shared memory; asynchronous.
template <int D, int Groups>
__device__ __forceinline__ void fetch_residual(TailShared<D, Groups>& shared, const float* residual,
                                               const Place& place) {
  constexpr int kPieces = D / 4;  // 16 bytes each
#pragma unroll
  for (int i = place.lane; i < kWarpRows * kPieces; i += 32) {
    const int row = place.row0 + i / kPieces;
    const int channel = i % kPieces * 4;
    const float* from = residual + (place.item + place.position(row)) * D + channel;
    const uint32_t to =
        shared_address(shared.work.stream + row * TailShared<D, Groups>::kStream + channel);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  }
}
__device__ __forceinline__ void fetched() { asm volatile("cp.async.wait_all;" ::: "memory"); }

template <int D, int Groups>
__device__ __forceinline__ void read_stream(const TailShared<D, Groups>& shared, const Place& place,
                                            RowGroup<D, kWarpRows>& rows) {
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
      const int channel = RowGroup<D, kWarpRows>::channel(q, place.lane);
      rows.quad[r][q] = rows.used(place.lane)
                            ? read_quad(shared.work.stream +
                                        (place.row0 + r) * TailShared<D, Groups>::kStream + channel)
                            : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
  }
}

template <int D, int Groups>
__device__ __forceinline__ void write_narrow(TailShared<D, Groups>& shared, const Place& place,
                                             const RowGroup<D, kWarpRows>& rows) {
  if (!rows.used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
      write_quad(shared.narrow + (place.row0 + r) * TailShared<D, Groups>::kNarrow +
                     RowGroup<D, kWarpRows>::channel(q, place.lane),
                 rows.quad[r][q]);
    }
  }
}

// poses_3d = rows * head_weight^T + head_bias
template <int D>
__device__ __forceinline__ void write_poses(const pm_next_params& next, const Place& place,
                                            const RowGroup<D, kWarpRows>& rows) {
  float sums[kWarpRows * 3];
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      float sum = 0.0f;
      if (rows.used(place.lane)) {
#pragma unroll
        for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
          const float4 w = read_quad(next.head_weight + axis * D + rows.channel(q, place.lane));
          sum += sum4(fma4(rows.quad[r][q], w, make_float4(0, 0, 0, 0)));
        }
      }
      sums[r * 3 + axis] = sum;
    }
  }
  warp_sums(sums);
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    if (place.lane != 0 || !place.inside(place.row0 + r)) continue;
    float* to = next.poses_3d + (place.item + place.first + place.row0 + r) * 3;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) to[axis] = sums[r * 3 + axis] + next.head_bias[axis];
  }
}

// Stores the stream, normalises it for what follows, and runs that: in_proj or the head.
template <int D, int Groups>
__device__ __forceinline__ void run_next(TailShared<D, Groups>& shared, const pm_next_params& next,
                                         float* stream, const Place& place, int group_row, int warp,
                                         RowGroup<D, kWarpRows>& rows) {
  using Shared = TailShared<D, Groups>;
  GroupProduct<D, 4 * D> in_proj;
  if (next.xz != nullptr) in_proj.prime(next.in_proj, warp, place.lane);
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    if (!rows.used(place.lane) || !place.inside(place.row0 + r)) continue;
    float* to = stream + (place.item + place.first + place.row0 + r) * D;
#pragma unroll
    for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
      write_quad(to + rows.channel(q, place.lane), rows.quad[r][q]);
    }
  }
  rows.normalize(shared.next_norm[0], shared.next_norm[1], next.norm.epsilon, place.lane);
  if (next.xz == nullptr) {
    write_poses<D>(next, place, rows);
    return;
  }
  write_narrow<D, Groups>(shared, place, rows);
  __syncthreads();  // the rows are complete, and nobody reads `work` any more
  in_proj.run(shared.narrow, Shared::kNarrow, group_row, [&](int row, int column, float2 v) {
    put_half2(shared.out + row * Shared::kOut + column, v);
  });
  __syncthreads();                    // the outputs are complete
  constexpr int kPieces = 4 * D / 8;  // 16 bytes each
  auto* xz = static_cast<__half*>(next.xz) + (place.item + place.first) * 4 * D;
  const int rows_left = place.steps - place.first;
  for (int i = static_cast<int>(threadIdx.x); i < Shared::kRows * kPieces;
       i += kGroupThreads * Groups) {
    const int row = i / kPieces;
    const int column = i % kPieces * 8;
    if (row >= rows_left) break;
    *reinterpret_cast<uint4*>(xz + int64_t{row} * 4 * D + column) =
        *reinterpret_cast<const uint4*>(shared.out + row * Shared::kOut + column);
  }
}

template <int Groups>
__device__ __forceinline__ Place place_of(int steps, int group_row, int warp, int lane) {
  return {int64_t{blockIdx.y} * steps, static_cast<int>(blockIdx.x) * kGroupRows * Groups, steps,
          group_row + warp * kWarpRows, lane};
}

// A block owns 32 * Groups positions of one batch item; 8 warps a group. 128 registers, so two
// blocks (Groups 1) or one (Groups 2) an SM where shared memory allows.
template <int D, int Groups>
__global__ void __launch_bounds__(kGroupThreads* Groups, 2 / Groups)
    block_tail_kernel(const __grid_constant__ CrossArgs c,
                      const __grid_constant__ pm_block_tail_params a) {
  using Shared = TailShared<D, Groups>;
  constexpr int kInner = 2 * D;
  constexpr int kAtOnce = D > 128 ? 2 : kWarpRows;  // rows gated at once, for the registers
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int group_row = thread / kGroupThreads * kGroupRows;
  const int warp = thread % kGroupThreads / 32;
  const Place place = place_of<Groups>(c.steps, group_row, warp, thread % 32);

  share(shared.out_norm, a.out_norm);
  share(shared.norm2, a.norm2);
  share(shared.shared_norm, a.shared_norm);
  share(shared.next_norm, a.next.norm);
  share(shared.fc1_bias, a.fc1_bias, kInner);
  share(shared.fc2_bias, a.fc2_bias, D);
  for (int i = thread; i < kInner; i += kGroupThreads * Groups) {
    float all = 0.0f;
    float masked = 0.0f;
    for (int k = 0; k < c.directions; ++k) {
      const float d = __ldg(c.D + k * kInner + i);
      all += d;
      masked += c.limb_mask[k] != 0 ? d : 0.0f;
    }
    shared.skip[0][i] = all, shared.skip[1][i] = masked;
  }
  if (thread < PM_MAX_JOINTS) shared.limb[thread] = c.limb_index[thread];
  GroupProduct<kInner, D> out_proj;
  out_proj.prime(a.out_proj, warp, place.lane);
  __syncthreads();    // the parameters are there
  dependency_wait();  // the directions, u, z and the residual come from earlier launches
  dependency_release();

  fetch_residual<D, Groups>(shared, a.residual, place);
#pragma unroll 1
  for (int r = 0; r < kWarpRows; r += kAtOnce) {
    gate_rows<D, Groups, kAtOnce>(shared, c, a, place, place.row0 + r);
  }
  fetched();
  __syncthreads();  // gated rows and residual are complete
  const auto add_to_stream = [&](int row, int column, float2 v) {
    auto* at = reinterpret_cast<float2*>(shared.work.stream + row * Shared::kStream + column);
    const float2 old = *at;
    *at = make_float2(old.x + v.x, old.y + v.y);
  };
  out_proj.run(shared.work.wide, Shared::kWide, group_row, add_to_stream);

  GroupProduct<D, kInner> fc1;
  fc1.prime(a.fc1, warp, place.lane);
  __syncthreads();  // the sums are complete
  RowGroup<D, kWarpRows> rows;
  read_stream<D, Groups>(shared, place, rows);
  rows.normalize(shared.norm2[0], shared.norm2[1], a.norm2.epsilon, place.lane);
  write_narrow<D, Groups>(shared, place, rows);
  __syncthreads();  // the normalised rows are complete; nobody reads the gated ones any more
  fc1.run(shared.narrow, Shared::kNarrow, group_row, [&](int row, int column, float2 v) {
    const float2 bias = *reinterpret_cast<const float2*>(shared.fc1_bias + column);
    put_half2(shared.work.wide + row * Shared::kWide + column,
              make_float2(gelu(v.x + bias.x), gelu(v.y + bias.y)));
  });
  GroupProduct<kInner, D> fc2;
  fc2.prime(a.fc2, warp, place.lane);
  __syncthreads();  // the hidden rows are complete
  fc2.run(shared.work.wide, Shared::kWide, group_row, [&](int row, int column, float2 v) {
    const float2 bias = *reinterpret_cast<const float2*>(shared.fc2_bias + column);
    add_to_stream(row, column, make_float2(v.x + bias.x, v.y + bias.y));
  });
  __syncthreads();  // the sums are complete

  read_stream<D, Groups>(shared, place, rows);
  rows.normalize(shared.shared_norm[0], shared.shared_norm[1], a.shared_norm.epsilon, place.lane);
  if (a.position != nullptr && rows.used(place.lane)) {
#pragma unroll
    for (int r = 0; r < kWarpRows; ++r) {
      const float* at = a.position + place.position(place.row0 + r) / c.joints * D;
#pragma unroll
      for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
        rows.quad[r][q] = rows.quad[r][q] + read_quad(at + rows.channel(q, place.lane));
      }
    }
  }
  run_next<D, Groups>(shared, a.next, a.stream, place, group_row, warp, rows);
}

// The network's first rows: two keypoint coordinates to D channels, joint position, then as after a
// block.
template <int D>
__global__ void __launch_bounds__(kGroupThreads, 2)
    embed_kernel(const __grid_constant__ pm_embed_params a) {
  using Shared = TailShared<D, 1>;
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int steps = static_cast<int>(a.frames) * a.joints;
  const Place place = place_of<1>(steps, 0, warp, static_cast<int>(threadIdx.x) % 32);
  share(shared.next_norm, a.next.norm);
  __syncthreads();    // the parameters are there
  dependency_wait();  // the keypoints may come from an earlier launch
  dependency_release();
  RowGroup<D, kWarpRows> rows;
#pragma unroll
  for (int r = 0; r < kWarpRows; ++r) {
    const int position = place.position(place.row0 + r);
    const float2 point =
        __ldg(reinterpret_cast<const float2*>(a.keypoints_2d) + place.item + position);
    const float* joint = a.joint_position + position % a.joints * D;
#pragma unroll
    for (int q = 0; q < RowGroup<D, kWarpRows>::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!rows.used(place.lane)) continue;
      const int channel = rows.channel(q, place.lane);
      const float4 low = read_quad(a.weight + channel * 2);       // two channels, x and y of each
      const float4 high = read_quad(a.weight + channel * 2 + 4);  // the next two
      const float4 product = make_float4(
          fmaf(point.x, low.x, point.y * low.y), fmaf(point.x, low.z, point.y * low.w),
          fmaf(point.x, high.x, point.y * high.y), fmaf(point.x, high.z, point.y * high.w));
      rows.quad[r][q] = product + read_quad(a.bias + channel) + read_quad(joint + channel);
    }
  }
  run_next<D, 1>(shared, a.next, a.stream, place, 0, warp, rows);
}

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_BLOCK_TAIL_CUH_
