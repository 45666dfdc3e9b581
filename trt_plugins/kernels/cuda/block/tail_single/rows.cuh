// The Rows positions a thread block owns, in shared memory.
#pragma once

#include "cuda/block/place.cuh"
#include "cuda/block/tail.h"
#include "cuda/block/tail_vectors.cuh"
#include "cuda/device/mma.cuh"
#include "cuda/device/rows.cuh"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

// Rows are padded: by 16 bytes for ldmatrix, the float rows by 32 so that the 8-byte accesses of an
// accumulator (4 rows at a time) fall into different banks.
template <int D, int Rows>
struct TailShared {
  static constexpr int kWide = 2 * D + kRowPad;
  static constexpr int kNarrow = D + kRowPad;
  static constexpr int kStream = D + 8;
  static constexpr int kOut = 4 * D + kRowPad;

  struct Work {
    alignas(16) __half wide[Rows * kWide];     // gated rows, then the MLP's hidden ones
    alignas(16) float stream[Rows * kStream];  // the residual stream
  };
  union {
    Work work;
    alignas(16) __half out[Rows * kOut];  // xz of the next block, once the work is done
  };
  union {
    alignas(16) __half narrow[Rows * kNarrow];  // normalised rows
    unsigned char limb[PM_MAX_JOINTS];          // until the rows are gated
  };
  alignas(16) TailVectors<D, false> vectors;
};
// A thread block of sm_86, sm_89 and sm_120 may have 99 KiB: X just fits.
static_assert(sizeof(TailShared<256, kTailRows>) <= 99 * 1024,
              "more shared memory than an RTX 30 or 40 has");

template <int D, int Rows, int Count>
__device__ __forceinline__ void read_stream(const TailShared<D, Rows>& shared, const Place& place,
                                            RowGroup<D, Count>& rows) {
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!rows.used(place.lane)) continue;
      rows.quad[r][q] = read_quad(shared.work.stream + (place.row0 + r) * shared.kStream +
                                  rows.channel(q, place.lane));
    }
  }
}

template <int D, int Rows, int Count>
__device__ __forceinline__ void write_narrow(TailShared<D, Rows>& shared, const Place& place,
                                             const RowGroup<D, Count>& rows) {
  if (!rows.used(place.lane)) return;
#pragma unroll
  for (int r = 0; r < Count; ++r) {
#pragma unroll
    for (int q = 0; q < RowGroup<D, Count>::kQuads; ++q) {
      write_quad(shared.narrow + (place.row0 + r) * shared.kNarrow + rows.channel(q, place.lane),
                 rows.quad[r][q]);
    }
  }
}

}  // namespace posemamba::cuda
