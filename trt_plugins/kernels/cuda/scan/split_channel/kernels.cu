#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/kernel.cuh"
#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/prepare.cuh"

namespace posemamba::cuda {
namespace {

template <OnePass Config, int Rank, int Spl, int Tile, int Stages, int Converters,
          bool HalfSums = false>
Kernel entry() {
  constexpr OnePassShape kShape = kOnePassShapes[Config];
  using C = split_channel::Config<Rank, Spl, kShape.channels, Tile, Stages, Converters, HalfSums>;
  static_assert(C::kThreads == kShape.threads, "as one_pass.h says");
  return {reinterpret_cast<const void*>(&split_channel::split_channel_kernel<C>),
          sizeof(split_channel::Shared<C>)};
}

template <int Rank>
Kernel of_config(OnePass config, bool half_sums) {
  if (half_sums && config == kTwoStates) return entry<kTwoStates, Rank, 2, 64, 4, 4, true>();
  if (half_sums && config == kOneState) return entry<kOneState, Rank, 1, 128, 3, 4, true>();
  if (config == kFourStatesWide) return entry<kFourStatesWide, Rank, 4, 32, 3, 8>();
  if constexpr (Rank == 8) {  // elsewhere two blocks of two states a lane are faster
    if (config == kFourStates) return entry<kFourStates, Rank, 4, 64, 2, 4>();
  }
  if (config == kTwoStates) return entry<kTwoStates, Rank, 2, 64, 4, 4>();
  if (config == kOneState) return entry<kOneState, Rank, 1, 128, 3, 4>();
  return {nullptr, 0};
}

}  // namespace

Kernel split_channel_kernel(OnePass config, const pm_cross_scan_params& p) {
  const bool half_sums = p.half_sums != 0;
  if (p.dtype != PM_FLOAT16) return {nullptr, 0};
  if (p.dt_rank == 4) return of_config<4>(config, half_sums);
  if (p.dt_rank == 8) return of_config<8>(config, half_sums);
  if (p.dt_rank == 16) return of_config<16>(config, half_sums);
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
