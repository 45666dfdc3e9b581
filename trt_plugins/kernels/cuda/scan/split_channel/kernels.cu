#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/kernel.cuh"
#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/prepare.cuh"

namespace posemamba::cuda {
namespace {

// From so many steps on segments of 32 steps are faster than segments of 16, which begin sooner.
constexpr int64_t kLeastLongSegments = 2048;

template <OnePass Config, int Rank, int Spl, int Turns, int Segment, int Tile, int Stages,
          int Converters, bool HalfSums = false>
Kernel entry() {
  constexpr OnePassShape kShape = kOnePassShapes[Config];
  using C = split_channel::Config<Rank, Spl, kShape.channels, Turns, Segment, Tile, Stages,
                                  Converters, HalfSums>;
  static_assert(C::kThreads == kShape.threads, "as one_pass.h says");
  return {reinterpret_cast<const void*>(&split_channel::split_channel_kernel<C>),
          sizeof(split_channel::Shared<C>)};
}

template <int Rank, bool HalfSums>
Kernel of_two_states(OnePass config, int64_t steps) {
  if (config == kTwoStates) return entry<kTwoStates, Rank, 2, 1, 8, 64, 4, 4, HalfSums>();
  return steps < kLeastLongSegments ? entry<kInTurns, Rank, 2, 4, 16, 128, 3, 4, HalfSums>()
                                    : entry<kInTurns, Rank, 2, 4, 32, 128, 3, 4, HalfSums>();
}

template <int Rank>
Kernel of_config(OnePass config, const pm_cross_scan_params& p) {
  if (config == kTwoStates || config == kInTurns) {
    const int64_t steps = p.frames * p.joints;
    return p.half_sums != 0 ? of_two_states<Rank, true>(config, steps)
                            : of_two_states<Rank, false>(config, steps);
  }
  if (config == kFourStatesWide) return entry<kFourStatesWide, Rank, 4, 1, 4, 32, 3, 8>();
  if constexpr (Rank == 8) {  // elsewhere two blocks of two states a lane are faster
    if (config == kFourStates) return entry<kFourStates, Rank, 4, 1, 4, 64, 2, 4>();
  }
  return {nullptr, 0};
}

}  // namespace

Kernel split_channel_kernel(OnePass config, const pm_cross_scan_params& p) {
  if (p.dtype != PM_FLOAT16) return {nullptr, 0};
  if (p.dt_rank == 4) return of_config<4>(config, p);
  if (p.dt_rank == 8) return of_config<8>(config, p);
  if (p.dt_rank == 16) return of_config<16>(config, p);
  return {nullptr, 0};
}

namespace split_channel {

const void* prepare_kernel_of(int32_t dt_rank) {
  if (dt_rank == 4) return reinterpret_cast<const void*>(&prepare_kernel<4>);
  if (dt_rank == 8) return reinterpret_cast<const void*>(&prepare_kernel<8>);
  return reinterpret_cast<const void*>(&prepare_kernel<16>);
}

}  // namespace split_channel
}  // namespace posemamba::cuda
