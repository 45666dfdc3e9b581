// Where a direction's steps lie: on the grid of version 1, or in the tables of version 2. A
// producer warp asks for a tile's steps, a lane for one of them.
#pragma once

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

  struct Shared {
    unsigned char limb[PM_MAX_JOINTS];

    __device__ __forceinline__ void init(const Args& a, int thread) {
      if (thread < PM_MAX_JOINTS) limb[thread] = a.limb_index[thread];
    }
  };

  // How a scan warp takes a tile that begins with the direction's step `first`.
  struct Tiles {
    __device__ __forceinline__ Tiles(const Args&, int) {}
    template <bool kOut, class C, class Sink>
    __device__ __forceinline__ void scan(Scanner<C>& scanner, const Stage<C>& stage, int, int steps,
                                         Sink&& sink) const {
      scanner.template tile<kOut>(stage, steps, sink);
    }
  };

  __device__ __forceinline__ GridWalk(const Args& args, int direction, const Shared& shared)
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

  __device__ __forceinline__ bool masked() const { return masked_; }

 private:
  const Args& a_;
  const unsigned char* limb_;
  int order_;
  bool reverse_;
  bool masked_;
};

// Version 2. A step may be idle, have no neighbour, or reset the state. What the tables say of a
// producer warp's steps is a bit each in a word, the same in all lanes; the entries of the next
// tile are under way while this one is read.
class TableWalk {
 public:
  using Args = TableArgs;
  static constexpr bool kTables = true;
  static constexpr unsigned kAll = 0xffffffffu;

  struct Shared {
    __device__ __forceinline__ void init(const Args&, int) {}
  };

  // The state is zero before every step that is a multiple of `length`; 0: never.
  struct Tiles {
    int length;

    __device__ __forceinline__ Tiles(const Args& a, int direction)
        : length(a.reset_length == nullptr ? 0 : a.reset_length[direction]) {}
    template <bool kOut, class C, class Sink>
    __device__ __forceinline__ void scan(Scanner<C>& scanner, const Stage<C>& stage, int first,
                                         int steps, Sink&& sink) const {
      static_assert(C::kTile == 32, "a lane a step");
      const int lane = static_cast<int>(threadIdx.x) % 32;
      // Past the end the state must stay: a chunk hands it on.
      const unsigned resets =
          length > 0 ? __ballot_sync(kAll, lane < steps && (first + lane) % length == 0) : 0;
      scanner.template tile<kOut>(stage, steps, resets, sink);
    }
  };

  __device__ __forceinline__ TableWalk(const Args& args, int direction, const Shared&)
      : a_(args), row_(int64_t{direction} * args.steps) {}

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
    const bool neighbour = limb >= 0;
    const bool wrong = own >= 0 && (!exists(own) || (neighbour && !exists(limb)));
    const bool real = own >= 0 && !wrong;
    const bool joined = real && neighbour;
    idle_ = ~__ballot_sync(kAll, real);
    joined_ = __ballot_sync(kAll, joined || wrong);
    return {real ? static_cast<unsigned>(own) : 0u, joined ? static_cast<unsigned>(limb) : 0u};
  }

  __device__ __forceinline__ bool masked() const { return joined_ != 0; }
  // Whether no step of the tile is idle or wrong, and all have a neighbour or none.
  __device__ __forceinline__ bool even() const {
    return idle_ == 0 && (joined_ == 0 || joined_ == kAll);
  }
  __device__ __forceinline__ bool idle(int step) const { return (idle_ >> step & 1) != 0; }
  __device__ __forceinline__ float neighbour(int step, float value) const {
    return (joined_ >> step & 1) != 0 ? value : 0.0f;
  }
  // NaN where an index is beyond the positions: what is not there cannot be read.
  __device__ __forceinline__ float input(int step, float u) const {
    const float none = (joined_ >> step & 1) != 0 ? __int_as_float(0x7fc00000) : 0.0f;
    return idle(step) ? none : u;
  }

 private:
  __device__ __forceinline__ void fetch(int step, int end) {
    const bool inside = step < end;
    own_ = inside ? __ldg(a_.scan_index + row_ + step) : -1;
    limb_ = inside && a_.neighbour_index != nullptr ? __ldg(a_.neighbour_index + row_ + step) : -1;
  }

  const Args& a_;
  int64_t row_;  // of the tables
  int own_;
  int limb_;
  unsigned idle_;
  unsigned joined_;  // of an idle step: it is wrong
};

}  // namespace posemamba::cuda
