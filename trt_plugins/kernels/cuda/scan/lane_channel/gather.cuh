// Configuration and tile reads of the lane-channel design.
#pragma once

#include "cuda/device/copy_async.cuh"
#include "cuda/scan/one_pass.cuh"

namespace posemamba::cuda::lane_channel {

// Blocks that an SM is to hold, in float16. With 128 registers a thread the compiler puts reads
// nearer to their use, 1 to 3 % faster on sm_90, but not of longer tiles at rank 16; elsewhere some
// kernels would spill a few words.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
constexpr int kHalfBlocks = 4;
#else
constexpr int kHalfBlocks = 3;
#endif

// Longer: tiles for SMs that hold two blocks at most.
template <typename Type, int Rank, int Channels, int Threads, bool Longer>
struct Config {
  using T = Type;
  static constexpr int kRank = Rank;
  static constexpr int kThreads = Threads;
  static constexpr int kChannels = Channels;
  static constexpr int kLanes = Threads / Channels;        // that share a channel
  static constexpr int kStates = kOnePassStates / kLanes;  // of a lane
  static constexpr int kGroup = 32 / kLanes;               // channels of a warp
  // Steps of a stage, found by a lane 32 apart. Twice as many where three blocks still fit an SM;
  // at rank 4 a third one costs what follows in a block more than it gains: an SM that has been
  // divided for so much shared memory leaves them less L1 (docs/design/kernels-tried.md).
  static constexpr int kTile = Longer || (kLanes == 2 && Rank == 8) ? 64 : 32;
  static constexpr int kParts = kTile / 32;
  // Steps of a body: the same work for every number of lanes. Twice as many no longer fit the
  // instruction cache: a third slower.
  static constexpr int kUnroll = 8 * kLanes;
  static constexpr int kStages = 4;     // of x
  static constexpr int kRowStages = 3;  // of the rest, which come in through registers
  static constexpr int kRow = 2 * kOnePassStates + kRank;
  static constexpr int kMinBlocks = sizeof(T) == 2 && !(Longer && Rank == 16) ? kHalfBlocks : 3;
  static_assert(kRank % 4 == 0 && kTile % kUnroll == 0 && kUnroll % kLanes == 0, "layout");

  static __device__ __forceinline__ float value(T v) {
    if constexpr (sizeof(T) == 4) {
      return v;
    } else {
      return __half2float(v);
    }
  }
};

// A tile in shared memory.
template <class C>
struct Tile {
  float* rows;       // [step][B, C, dt inputs], limb summed
  typename C::T* x;  // [step][channel], limb summed
};

template <class C>
struct Shared {
  using T = typename C::T;

  alignas(16) float rows[C::kRowStages][C::kTile * C::kRow];
  alignas(16) T x[C::kStages][C::kTile * C::kChannels];
  alignas(16) T limb_x[C::kTile * C::kChannels];  // limb neighbours' x, under way
  uint64_t ready[2];  // of even and odd tiles: complete when every thread's share is in place
  unsigned char limb[PM_MAX_JOINTS];

  __device__ __forceinline__ Tile<C> tile(int t) {
    return {rows[t % C::kRowStages], x[t % C::kStages]};
  }
};

// The positions of one lane's step in tile after tile: a division at the start, none later.
class Walk {
 public:
  __device__ __forceinline__ Walk(const CrossArgs& a, int direction, int step, int tile)
      : step_(step), tile_(tile) {
    const int order = a.order[direction];
    const bool reverse = a.reverse[direction] != 0;
    by_joint_ = order == PM_JOINT_MAJOR || order == PM_JOINT_MAJOR_FLIPPED;
    flipped_ = order >= PM_FRAME_MAJOR_FLIPPED;
    inner_ = by_joint_ ? a.frames : a.joints;
    const int from = max(reverse ? a.steps - 1 - step : step, 0);
    outer_ = from / inner_;
    in_ = from - outer_ * inner_;
    // Backwards by q whole lines and r is forwards by -q - 1 lines and inner - r.
    add_outer_ = tile / inner_;
    add_in_ = tile - add_outer_ * inner_;
    if (reverse) add_outer_ = -add_outer_ - 1, add_in_ = inner_ - add_in_;
  }

  // Places of the lane's step (past the end those of position 0), then on to the next tile's.
  __device__ __forceinline__ Places next(const CrossArgs& a, const unsigned char* limb) {
    const bool inside = step_ < a.steps;
    const int in = flipped_ ? inner_ - 1 - in_ : in_;
    const int frame = inside ? (by_joint_ ? in : outer_) : 0;
    const int joint = inside ? (by_joint_ ? outer_ : in) : 0;
    step_ += tile_;
    outer_ += add_outer_;
    in_ += add_in_;
    if (in_ >= inner_) in_ -= inner_, ++outer_;
    const auto row = static_cast<unsigned>(frame * a.joints);
    return {row + static_cast<unsigned>(joint), row + limb[joint]};
  }

 private:
  int step_;
  int tile_;
  int inner_;
  int outer_;
  int in_;
  int add_outer_;
  int add_in_;
  bool by_joint_;
  bool flipped_;
};

// A thread's share of the tiles: some 16-byte pieces of x, copied asynchronously, and up to three
// quads of x_dbl, which pass through registers; start() and finish() with most of another tile's
// scan in between. Whether the direction has a limb sum is decided here, while the kernel runs: an
// SM holds blocks of both kinds, and two copies of the scan do not fit its instruction cache.
template <class C>
class Gather {
  using T = typename C::T;
  static constexpr int kPiece = 16 / sizeof(T);               // channels
  static constexpr int kPieces = C::kChannels / kPiece;       // of a step
  static constexpr int kCopies = 32 * kPieces / C::kThreads;  // of a part: 32 steps
  static constexpr int kStateQuads = 2 * kOnePassStates / 4;  // of a step
  static constexpr int kTurns = 32 * kStateQuads / C::kThreads;
  static constexpr int kRankQuads = C::kRank / 4;
  static constexpr int kRankThreads = 32 * kRankQuads;  // whole warps
  static constexpr int kQuads = kTurns + 1;
  static_assert(kRankThreads % 32 == 0 && kRankThreads <= C::kThreads, "dt inputs");

 public:
  __device__ __forceinline__ Gather(const CrossArgs& args, int batch, int direction, int first,
                                    Shared<C>& shared)
      : a_(args),
        shared_(shared),
        walk_(args, direction, static_cast<int>(threadIdx.x) % 32, 32),
        masked_(args.limb_mask[direction] != 0),
        thread_(static_cast<int>(threadIdx.x)),
        // From one lane: the compiler sees that a warp goes one way, and makes no second path for
        // lanes that have parted.
        reads_rank_(__shfl_sync(~0u, thread_, 0) < kRankThreads) {
    const T* x = static_cast<const T*>(args.x) + int64_t{batch} * args.steps * args.x_stride;
    // d_inner is a multiple of 8: a piece is all inside or repeats the last one.
    x_ = x + min(first + thread_ % kPieces * kPiece, args.d_inner - kPiece);
    dbl_ = static_cast<const T*>(args.x_dbl) + int64_t{batch} * args.steps * args.x_dbl_stride +
           direction * C::kRow;
    x_bytes_ = static_cast<unsigned>(args.x_stride * sizeof(T));
    dbl_bytes_ = static_cast<unsigned>(args.x_dbl_stride * sizeof(T));
  }

  __device__ __forceinline__ void start(const Tile<C>& tile) {
    if (masked_) {
      start<true>(tile);
    } else {
      start<false>(tile);
    }
  }

  // Puts the rows of x_dbl where the scan reads them, and adds the limb neighbours' x to pieces
  // that this thread copied itself.
  __device__ __forceinline__ void finish(const Tile<C>& tile) const {
    if (masked_) {
      finish<true>(tile);
    } else {
      finish<false>(tile);
    }
  }

 private:
  static constexpr int kPart = 32 * C::kChannels;  // elements of x

  template <bool kMasked>
  __device__ __forceinline__ void start(const Tile<C>& tile) {
#pragma unroll
    for (int part = 0; part < C::kParts; ++part) {
      const Places at = walk_.next(a_, shared_.limb);
      const int to = part * kPart;
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        copy_async(tile.x + to + slot_of(i), row_of(x_, at.own, step_of(i), x_bytes_));
      }
      if constexpr (kMasked) {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
          copy_async(shared_.limb_x + to + slot_of(i), row_of(x_, at.limb, step_of(i), x_bytes_));
        }
      }
#pragma unroll
      for (int i = 0; i < kTurns; ++i) {
        read<kMasked>(at, state_step(i), C::kRank + thread_ % kStateQuads * 4, part * kQuads + i);
      }
      if (reads_rank_) {
        read<kMasked>(at, thread_ / kRankQuads, thread_ % kRankQuads * 4, part * kQuads + kTurns);
      }
    }
  }

  template <bool kMasked>
  __device__ __forceinline__ void finish(const Tile<C>& tile) const {
#pragma unroll
    for (int part = 0; part < C::kParts; ++part) {
      float* rows = tile.rows + part * 32 * C::kRow;
#pragma unroll
      for (int i = 0; i < kTurns; ++i) {
        put<kMasked>(rows, state_step(i), thread_ % kStateQuads * 4, part * kQuads + i);
      }
      if (reads_rank_) {
        put<kMasked>(rows, thread_ / kRankQuads, 2 * kOnePassStates + thread_ % kRankQuads * 4,
                     part * kQuads + kTurns);
      }
    }
    copies_done();
    if constexpr (kMasked) {
#pragma unroll
      for (int i = 0; i < C::kParts * kCopies; ++i) {
        const int at = i / kCopies * kPart + slot_of(i % kCopies);
        uint4* to = reinterpret_cast<uint4*>(tile.x + at);
        *to = sum_16<T>(*to, *reinterpret_cast<const uint4*>(shared_.limb_x + at));
      }
    }
  }

  // Step, inside a part, of this thread's i-th quad of B and C.
  __device__ __forceinline__ int state_step(int i) const {
    return thread_ / kStateQuads + i * (C::kThreads / kStateQuads);
  }
  // Step and place, inside a part, of this thread's i-th piece of x.
  __device__ __forceinline__ int step_of(int i) const {
    return thread_ / kPieces + i * (C::kThreads / kPieces);
  }
  __device__ __forceinline__ int slot_of(int i) const {
    return step_of(i) * C::kChannels + thread_ % kPieces * kPiece;
  }
  // The row that lane `step` has found. One instruction multiplies and adds.
  static __device__ __forceinline__ const char* row_of(const T* base, unsigned place, int step,
                                                       unsigned bytes) {
    const unsigned at = __shfl_sync(~0u, place, step);
    return reinterpret_cast<const char*>(base) + static_cast<uint64_t>(at) * bytes;
  }
  template <bool kMasked>
  __device__ __forceinline__ void read(const Places& at, int step, int column, int i) {
    own_[i].load(row_of(dbl_ + column, at.own, step, dbl_bytes_));
    if constexpr (kMasked) other_[i].load(row_of(dbl_ + column, at.limb, step, dbl_bytes_));
  }
  template <bool kMasked>
  __device__ __forceinline__ void put(float* rows, int step, int word, int i) const {
    const float4 v = own_[i].value();
    *reinterpret_cast<float4*>(rows + step * C::kRow + word) =
        kMasked ? sum4(v, other_[i].value()) : v;
  }

  const CrossArgs& a_;
  Shared<C>& shared_;
  Walk walk_;
  const T* x_;
  const T* dbl_;
  unsigned x_bytes_;  // from a position's row to the next
  unsigned dbl_bytes_;
  bool masked_;  // the direction has a limb sum
  int thread_;
  bool reads_rank_;  // whole warps do
  Quad<T> own_[C::kParts * kQuads];
  Quad<T> other_[C::kParts * kQuads];  // the limb neighbours'
};

}  // namespace posemamba::cuda::lane_channel
