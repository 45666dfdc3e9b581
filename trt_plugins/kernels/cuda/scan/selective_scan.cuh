// Kernel arguments and the kernel of the generic SelectiveScan. The same ring of tiles and the same
// recurrence as CrossSelectiveScan; rows are contiguous along the sequence, so a producer lane
// stands for one step, and outputs pass through shared memory to be stored along the sequence.
#pragma once

#include "cuda/scan/chunked/phase.h"
#include "cuda/scan/chunked/scan_core.cuh"
#include "cuda/scan/sequence_args.h"

namespace posemamba::cuda {

struct ScanArgs : SequenceArgs {
  Carry carry;
  int blocks_per_row;
  int first_steps;  // of chunk 0
  int chunk_steps;  // of every other chunk
  int phase;
};

// A producer warp's share of a tile: kRows channels and kPieces 16-byte pieces of B and C per step,
// a lane per step. Global reads go to registers in load() and to the stage in store().
template <class C, typename T>
class ScanProducer {
 public:
  static constexpr int kRows = C::kChannels / C::kProducers;
  static constexpr int kPieces = 2 * C::kStates / 4 / C::kProducers;
  static constexpr bool kPrefetch = C::kStates <= 16;  // more would not fit the registers
  static_assert(C::kTile == 32 && kRows >= 1 && kPieces >= 1, "a lane per step");

  __device__ __forceinline__ ScanProducer(const ScanArgs& args, int row, int first, int begin,
                                          int end, int warp)
      : a_(args), begin_(begin), end_(end) {
    lane_ = static_cast<int>(threadIdx.x) & 31;
    group_ = row % args.groups;
    first_row_ = warp * kRows;
    first_piece_ = warp * kPieces;
    first_channel_ = first;
    reverse_ = args.reverse[group_] != 0;
    channels_at_ = int64_t{row} * args.channels * args.steps;
    states_at_ = int64_t{row} * args.d_state * args.steps;
  }

  __device__ __forceinline__ void load(int tile) {
    const int step = begin_ + tile * C::kTile + lane_;
    const int at = index(step < end_ ? step : end_ - 1);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t p = channels_at_ + int64_t{channel(r)} * a_.steps + at;
      u_[r] = Io<T>::load(static_cast<const T*>(a_.u) + p);
      delta_[r] = Io<T>::load(static_cast<const T*>(a_.delta) + p);
    }
    if constexpr (kPrefetch) {
#pragma unroll
      for (int m = 0; m < kPieces; ++m) load_piece(m, at, bc_[m]);
    }
  }

  __device__ __forceinline__ void store(Stage<C>& stage, int tile) {
    const bool inside = begin_ + tile * C::kTile + lane_ < end_;  // a tail step must be inert
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float dt = Io<T>::value(delta_[r]);
      if (a_.delta_bias != nullptr) dt += __ldg(a_.delta_bias + group_ * a_.channels + channel(r));
      if (a_.delta_softplus) dt = softplus(dt);
      const int at = row_of_channel<C>(first_row_ + r) * C::kRow + lane_;
      stage.dt[at] = inside ? dt : 0.0f;
      stage.du[at] = inside ? dt * Io<T>::value(u_[r]) : 0.0f;
    }
    if constexpr (kPrefetch) {
#pragma unroll
      for (int m = 0; m < kPieces; ++m) store_piece(stage, m, bc_[m]);
    } else {
      const int step = begin_ + tile * C::kTile + lane_;
      const int at = index(step < end_ ? step : end_ - 1);
#pragma unroll 1
      for (int m = 0; m < kPieces; ++m) {
        Scalar piece[4];
        load_piece(m, at, piece);
        store_piece(stage, m, piece);
      }
    }
  }

  // Writes the outputs the scanners left in the stage: y + D u, gated by silu(z).
  __device__ __forceinline__ void drain(const Stage<C>& stage, int tile) const {
    const int step = begin_ + tile * C::kTile + lane_;
    if (step >= end_) return;
#pragma unroll 4
    for (int r = 0; r < kRows; ++r) {
      if (first_channel_ + first_row_ + r >= a_.channels) return;
      const int64_t p = channels_at_ + int64_t{channel(r)} * a_.steps + index(step);
      float y = stage.du[row_of_channel<C>(first_row_ + r) * C::kRow + lane_];
      if (a_.D != nullptr) {
        const float u = Io<T>::value(Io<T>::load(static_cast<const T*>(a_.u) + p));
        y = fmaf(__ldg(a_.D + group_ * a_.channels + channel(r)), u, y);
      }
      if (a_.z != nullptr) y *= silu(Io<T>::value(Io<T>::load(static_cast<const T*>(a_.z) + p)));
      Io<T>::store(static_cast<T*>(a_.y) + p, y);
    }
  }

 private:
  using Scalar = typename Io<T>::Scalar;

  __device__ __forceinline__ void load_piece(int m, int at, Scalar (&piece)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int w = (first_piece_ + m) * 4 + i;
      const int n = w % C::kStates < a_.d_state ? w % C::kStates : 0;  // padding: 0
      const T* from = static_cast<const T*>(w >= C::kStates ? a_.C : a_.B);
      piece[i] = Io<T>::load(from + states_at_ + int64_t{n} * a_.steps + at);
    }
  }
  __device__ __forceinline__ void store_piece(Stage<C>& stage, int m,
                                              const Scalar (&piece)[4]) const {
    float v[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool used = ((first_piece_ + m) * 4 + i) % C::kStates < a_.d_state;
      v[i] = used ? Io<T>::value(piece[i]) : 0.0f;
    }
    *reinterpret_cast<float4*>(stage.bc + lane_ * C::kBcRow + (first_piece_ + m) * 4) =
        make_float4(v[0], v[1], v[2], v[3]);
  }
  __device__ __forceinline__ int index(int step) const {
    return reverse_ ? a_.steps - 1 - step : step;
  }
  __device__ __forceinline__ int channel(int r) const {
    const int c = first_channel_ + first_row_ + r;
    return c < a_.channels ? c : a_.channels - 1;
  }

  const ScanArgs& a_;
  int begin_;
  int end_;
  int lane_;
  int group_;
  int first_row_;
  int first_piece_;
  int first_channel_;
  bool reverse_;
  int64_t channels_at_;
  int64_t states_at_;
  Scalar u_[kRows];
  Scalar delta_[kRows];
  Scalar bc_[kPrefetch ? kPieces : 1][4];
};

// Sixteen prefetched rows beside two channels a lane leave no registers for a second block.
template <class C, typename T>
__global__ void __launch_bounds__(C::kThreads, C::kCpt > 1 ? 1 : C::kMinBlocks)
    selective_scan_kernel(const __grid_constant__ ScanArgs a) {
  __shared__ Stage<C> stages[kStages];
  __shared__ Ring<C> ring;
  const int thread = static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(blockIdx.x) % a.blocks_per_row * C::kChannels;
  const int row = static_cast<int>(blockIdx.x) / a.blocks_per_row;  // batch * groups + group
  const int chunk = static_cast<int>(blockIdx.y) + (a.phase == kOutputs ? 1 : 0);
  const int end = a.first_steps + chunk * a.chunk_steps;
  const int begin = chunk == 0 ? 0 : end - a.chunk_steps;
  const int tiles = (end - begin + C::kTile - 1) / C::kTile;
  const bool outputs = a.phase != kStates || chunk == 0;
  if (thread == 0) ring.init();
  __syncthreads();  // the ring is ready
  dependency_release();

  if (thread >= C::kScanThreads) {
    ScanProducer<C, T> producer(a, row, first, begin, end, (thread - C::kScanThreads) / 32);
    producer.load(0);
#pragma unroll 1
    for (int i = 0; i < tiles; ++i) {
      if (i >= kStages) {
        ring.wait_empty(i - kStages);  // its readers are done, its outputs are in place
        if (outputs) producer.drain(stages[i % kStages], i - kStages);
      }
      producer.store(stages[i % kStages], i);
      ring.signal_full(i);
      if (i + 1 < tiles) producer.load(i + 1);
    }
    for (int i = max(tiles - kStages, 0); outputs && i < tiles; ++i) {
      ring.wait_empty(i);
      producer.drain(stages[i % kStages], i);
    }
    return;
  }

  Scanner<C> scan;
  scan.place(thread);
  const int channel = first + scan.group * C::kCpt;
#pragma unroll
  for (int q = 0; q < C::kCpt; ++q) {
#pragma unroll
    for (int i = 0; i < C::kSpl; ++i) {
      const int n = scan.lane * C::kSpl + i;
      const bool real = channel + q < a.channels && n < a.d_state;
      const int64_t at = int64_t{row % a.groups} * a.channels + channel + q;
      scan.a[q][i] = real ? a.A[at * a.d_state + n] * kLog2e : 0.0f;
    }
  }
  if (a.phase == kOutputs) {
    dependency_wait();  // the end states come from the previous launch
    load_carry<C>(scan, a.carry, row, chunk, first);
  }
#pragma unroll 1
  for (int i = 0; i < tiles; ++i) {
    const int s = i % kStages;
    const int steps = min(C::kTile, end - begin - i * C::kTile);
    ring.wait_full(i);  // the tile is complete
    if (outputs) {
      scan.template tile<true>(stages[s], steps, [&](int step, const float (&y)[C::kCpt]) {
        __syncwarp();  // every lane of the group has read the inputs that y replaces
#pragma unroll
        for (int q = 0; q < C::kCpt; ++q) stages[s].du[scan.row[q] + step] = y[q];
      });
    } else {
      scan.template tile<false>(stages[s], steps, [](int, const float (&)[C::kCpt]) {});
    }
    ring.signal_empty(i);
  }
  if (a.phase == kStates) save_carry<C>(scan, a.carry, row, chunk, first);
}

}  // namespace posemamba::cuda
