// Where a direction's steps lie: on the grid of version 1, or in the tables of version 2. A
// producer warp asks for a tile's steps, a lane for one of them.
#ifndef POSEMAMBA_KERNELS_CUDA_WALK_CUH_
#define POSEMAMBA_KERNELS_CUDA_WALK_CUH_

#include "cuda/scan/chunked/scan_core.cuh"
#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

// The positions a step reads.
struct Visit {
  unsigned own;
  unsigned limb;
};

// Version 1. Every step has a position, and a neighbour where the direction has a limb sum.
class GridWalk {
 public:
  using Args = CrossArgs;
  static constexpr bool kTables = false;

  template <class C>
  struct Shared {
    unsigned char limb[PM_MAX_JOINTS];

    __device__ __forceinline__ void init(const Args& a, int thread) {
      if (thread < PM_MAX_JOINTS) limb[thread] = a.limb_index[thread];
    }
    template <bool kOut, class Sink>
    __device__ __forceinline__ void scan(Scanner<C>& scanner, int, const Stage<C>& stage, int steps,
                                         Sink&& sink) const {
      scanner.template tile<kOut>(stage, steps, sink);
    }
  };

  template <class C>
  __device__ __forceinline__ GridWalk(const Args& args, int direction, Shared<C>& shared)
      : a_(args),
        limb_(shared.limb),
        order_(args.order[direction]),
        reverse_(args.reverse[direction] != 0),
        masked_(args.limb_mask[direction] != 0) {}

  __device__ __forceinline__ static int positions(const Args& a) { return a.steps; }
  __device__ __forceinline__ void begin(int, int) {}

  // Steps past the end repeat the last one.
  template <class C>
  __device__ __forceinline__ Visit visit(int step, int end) {
    const GridPoint here = point_of_step(a_, order_, reverse_, step < end ? step : end - 1);
    return {static_cast<unsigned>(here.frame * a_.joints + here.joint),
            static_cast<unsigned>(here.frame * a_.joints + limb_[here.joint])};
  }
  template <class C>
  __device__ __forceinline__ void share(int, int, int) const {}

  __device__ __forceinline__ bool masked() const { return masked_; }
  __device__ __forceinline__ bool idle(int) const { return false; }
  __device__ __forceinline__ float neighbour(int, float value) const { return value; }
  __device__ __forceinline__ float input(int, float u) const { return u; }

 private:
  const Args& a_;
  const unsigned char* limb_;
  int order_;
  bool reverse_;
  bool masked_;
};

// Version 2. A step may be idle, have no neighbour, or reset the state. What the tables say of a
// tile's steps is a word of a bit each, the same in all lanes; the entries of the next tile are
// under way while this one is read.
class TableWalk {
 public:
  using Args = TableArgs;
  static constexpr bool kTables = true;

  template <class C>
  struct Shared {
    unsigned resets[kStages][C::kProducers];  // a bit a step of the tile

    __device__ __forceinline__ void init(const Args&, int) {}
    template <bool kOut, class Sink>
    __device__ __forceinline__ void scan(Scanner<C>& scanner, int s, const Stage<C>& stage,
                                         int steps, Sink&& sink) const {
      unsigned all = 0;
#pragma unroll
      for (int i = 0; i < C::kProducers; ++i) all |= resets[s][i];
      scanner.template tile<kOut>(stage, steps, all, sink);
    }
  };

  template <class C>
  __device__ __forceinline__ TableWalk(const Args& args, int direction, Shared<C>& shared)
      : a_(args),
        shared_(&shared.resets[0][0]),
        row_(int64_t{direction} * args.steps),
        reset_(args.reset_length == nullptr ? 0 : args.reset_length[direction]) {}

  __device__ __forceinline__ static int positions(const Args& a) { return a.positions; }

  // Before the first tile: this lane's step of it.
  __device__ __forceinline__ void begin(int step, int end) { fetch(step, end); }

  // Idle steps, as those past the end, read position 0 in vain.
  template <class C>
  __device__ __forceinline__ Visit visit(int step, int end) {
    const int own = own_, limb = limb_;
    fetch(step + C::kTile, end);
    const auto exists = [&](int at) {
      return static_cast<unsigned>(at) < static_cast<unsigned>(a_.positions);
    };
    const bool real = exists(own);
    const bool joined = real && exists(limb);
    const bool wrong = own >= 0 && (!real || (limb >= 0 && !joined));
    idle_ = ~__ballot_sync(kAll, real);
    joined_ = __ballot_sync(kAll, joined);
    wrong_ = __ballot_sync(kAll, wrong);
    resets_ = __ballot_sync(kAll, reset_ > 0 && step < end && step % reset_ == 0);
    return {real ? static_cast<unsigned>(own) : 0u, joined ? static_cast<unsigned>(limb) : 0u};
  }

  // Tells the scan warps which steps of the tile reset the state.
  template <class C>
  __device__ __forceinline__ void share(int tile, int first_step, int steps) const {
    if (threadIdx.x % 32 != 0) return;
    const unsigned mine = steps < 32 ? resets_ & ((1u << steps) - 1) : resets_;
    shared_[tile % kStages * C::kProducers + first_step / steps] = mine << first_step;
  }

  __device__ __forceinline__ bool masked() const { return joined_ != 0; }
  __device__ __forceinline__ bool idle(int step) const { return (idle_ >> step & 1) != 0; }
  __device__ __forceinline__ float neighbour(int step, float value) const {
    return (joined_ >> step & 1) != 0 ? value : 0.0f;
  }
  // NaN where an index is beyond the positions: what is not there cannot be read.
  __device__ __forceinline__ float input(int step, float u) const {
    const float kept = idle(step) ? 0.0f : u;
    return (wrong_ >> step & 1) != 0 ? __int_as_float(0x7fc00000) : kept;
  }

 private:
  static constexpr unsigned kAll = 0xffffffffu;

  __device__ __forceinline__ void fetch(int step, int end) {
    const bool inside = step < end;
    own_ = inside ? __ldg(a_.scan_index + row_ + step) : -1;
    limb_ = inside && a_.neighbour_index != nullptr ? __ldg(a_.neighbour_index + row_ + step) : -1;
  }

  const Args& a_;
  unsigned* shared_;
  int64_t row_;  // of the tables
  int reset_;
  int own_;
  int limb_;
  unsigned idle_;
  unsigned joined_;
  unsigned wrong_;
  unsigned resets_;
};

}  // namespace posemamba::cuda
#endif  // POSEMAMBA_KERNELS_CUDA_WALK_CUH_
