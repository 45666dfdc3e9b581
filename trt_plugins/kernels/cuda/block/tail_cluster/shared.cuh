// What a thread block of a cluster has in shared memory, and how the blocks write to each other's.
#pragma once

#include "cuda/block/gate_streams.cuh"
#include "cuda/block/tail_warpgroup/weights.cuh"
#include "cuda/device/cluster.cuh"

namespace posemamba::cuda {

// What a block waits for, in this order. Each is one phase of an arrival barrier, which counts the
// arrivals of the block's own threads and the bytes that the other blocks store.
enum Exchange { kGatedRows, kFirstSums, kFirstRows, kSecondSums, kSecondRows, kExchanges };

// Rows as the tensor cores' right operand: 64 channels of a row are 128 contiguous bytes, whose
// 16-byte pieces are swizzled by the row. Blocks store to each other in lines, not in pieces: less
// than 64 bytes together cost as much as 64 (reports/2026-11-30-wide-tail.md).
template <int Rows>
struct LineRows {
  static constexpr int kGroup = Rows * 64;  // halves from 64 channels to the next

  static constexpr int size(int channels) { return Rows * channels; }
  static __device__ __forceinline__ int at(int row, int channel) {
    return channel / 64 * kGroup + row * 64 + (channel / 8 % 8 ^ row % 8) * 8 + channel % 8;
  }
  // What the tensor cores take for 16 inputs from `from`, on 1,024 bytes, on: where they lie, how
  // far it is from eight rows to the next, and how they are swizzled. Taken from one lane: the
  // compiler sees that all have it.
  static __device__ __forceinline__ uint64_t descriptor(const __half* from) {
    const uint32_t low = __shfl_sync(~0u, (shared_address(from) & 0x3ffff) >> 4, 0);
    return low | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
  }
  // What is added to it `step` times 16 inputs further.
  static __host__ __device__ constexpr uint64_t offset(int step) {
    return static_cast<uint64_t>(step / 4 * kGroup + step % 4 * 16) * sizeof(__half) / 16;
  }
};

// Sums of a block's own rows as warps leave them: a register of all lanes is a line.
template <int D, int Own>
struct PartSums {
  static constexpr int kPairs = Own < 8 ? Own / 2 : 4;  // of rows, in a line
  static constexpr int kTile = Own * 16 + 8;            // floats from 16 outputs to the next
  static constexpr int kSize = D / 16 * kTile;

  // Eight outputs stay together. The swizzle is for the readers, who have neighbouring eights.
  static __device__ __forceinline__ int at(int row, int output) {
    const int eight = output / 8 % 2;
    const int pair = row / 2 % kPairs ^ (kPairs == 4 ? 2 * eight : 0);
    return output / 16 * kTile + eight * kPairs * 16 + pair * 8 + output % 8 +
           further(row / 8, row % 2);
  }
  // How much further than an even row of the first eight.
  static __host__ __device__ constexpr int further(int eights, int odd) {
    return (eights * 4 + odd) * kPairs * 8;
  }
};

template <int D, int Cluster, int Rows>
struct TailClusterShared {
  using Line = LineRows<Rows>;
  static constexpr int kThreads = 32 * kTailWarps;
  static constexpr int kOwn = Rows / Cluster;  // rows that a block gates and normalises
  static constexpr int kCount = (kOwn + kTailWarps - 1) / kTailWarps;  // of them a warp's
  static constexpr int kWide = 2 * D / Cluster;     // channels that it multiplies: gated, hidden
  static constexpr int kOutputs = 4 * D / Cluster;  // of in_proj that it makes
  static constexpr int kOut = kOutputs + kRowPad;
  using Parts = PartSums<D, kOwn>;
  static_assert(kOwn % kCount == 0 && kOwn / kCount <= kTailWarps, "whole warps for the rows");

  alignas(1024) __half wide[Line::size(kWide)];
  alignas(1024) __half narrow[Line::size(D)];  // normalised rows, all of the cluster's
  union {
    alignas(128) float sum[Cluster][Parts::kSize];  // what a block's products add to own rows
    alignas(128) __half out[Rows * kOut];           // xz of the next block, once they are read
  };
  alignas(16) TailVectors<D, true> vectors;
  alignas(16) const __half* from[kTailWarps][kCount][8];  // see find_rows
  uint64_t vectors_there;
  uint64_t there[kExchanges];

  // By one thread, before the cluster begins.
  __device__ __forceinline__ void init_barriers() {
    constexpr int kOthers = Rows - kOwn;
    const int bytes[kExchanges] = {kOthers * kWide * 2, kOthers * D * 4, kOthers * D * 2,
                                   kOthers * D * 4, kOthers * D * 2};
    barrier_init(&vectors_there, kThreads);
#pragma unroll
    for (int i = 0; i < kExchanges; ++i) barrier_init(there + i, kThreads + 1);
    bulk_barriers_ready();
#pragma unroll
    for (int i = 0; i < kExchanges; ++i) barrier_expect(there + i, bytes[i]);
  }

  // Stores at `p` of a block, which may be this one.
  __device__ __forceinline__ void put(Exchange exchange, int rank, int block, __half* p,
                                      const uint4& v) {
    if (block == rank) {
      *reinterpret_cast<uint4*>(p) = v;
    } else {
      store_async(address_in(block, p), v, address_in(block, there + exchange));
    }
  }
  // Behind it everything of an exchange is here, whoever wrote it.
  __device__ __forceinline__ void meet(Exchange exchange) {
    barrier_arrive(there + exchange);
    barrier_wait(there + exchange, 0);
  }
};

}  // namespace posemamba::cuda
