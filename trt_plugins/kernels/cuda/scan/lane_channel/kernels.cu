#include "cuda/scan/lane_channel/kernel.cuh"
#include "cuda/scan/one_pass.h"

namespace posemamba::cuda {
namespace {

template <OnePass Config, typename T, int Rank, int Tile>
Kernel entry() {
  constexpr OnePassShape kShape = kOnePassShapes[Config];
  using C = lane_channel::Config<T, Rank, kShape.channels, kShape.threads, Tile>;
  return {reinterpret_cast<const void*>(&lane_channel::lane_channel_kernel<C>),
          sizeof(lane_channel::Shared<C>)};
}

template <OnePass Config, typename T>
Kernel of_rank(int32_t rank) {
  // Of 64 steps where three blocks still fit an SM and leave what follows enough L1, see
  // docs/design/kernels-tried.md.
  constexpr int kTileOf8 = Config == kHalfChannel ? 64 : 32;
  if (rank == 4) return entry<Config, T, 4, 32>();
  if (rank == 8) return entry<Config, T, 8, kTileOf8>();
  if (rank == 16) return entry<Config, T, 16, 32>();
  return {nullptr, 0};
}

}  // namespace

Kernel lane_channel_kernel(OnePass config, const pm_cross_scan_params& p) {
  const bool half = p.dtype == PM_FLOAT16;
  if (config == kHalfChannel) {
    return half ? of_rank<kHalfChannel, __half>(p.dt_rank) : Kernel{nullptr, 0};
  }
  return half ? of_rank<kWholeChannel, __half>(p.dt_rank)
              : of_rank<kWholeChannel, float>(p.dt_rank);
}

Kernel lane_channel_long_kernel(OnePass config, const pm_cross_scan_params& p) {
  if (config != kHalfChannel || p.dtype != PM_FLOAT16) return {nullptr, 0};
  if (p.dt_rank == 4) return entry<kHalfChannel, __half, 4, 64>();
  if (p.dt_rank == 16) return entry<kHalfChannel, __half, 16, 64>();
  return {nullptr, 0};
}

}  // namespace posemamba::cuda
