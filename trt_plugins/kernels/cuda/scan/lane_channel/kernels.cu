#include "cuda/scan/lane_channel/kernel.cuh"
#include "cuda/scan/one_pass.h"

namespace posemamba::cuda {
namespace {

template <OnePass Config, typename T, int Rank, bool Longer = false>
Kernel entry(int32_t d_inner) {
  constexpr OnePassShape kShape = kOnePassShapes[Config];
  using C = lane_channel::Config<T, Rank, kShape.channels, kShape.threads, Longer>;
  const auto kernel = d_inner == 32 * Rank ? &lane_channel::lane_channel_kernel<C, true>
                                           : &lane_channel::lane_channel_kernel<C, false>;
  return {reinterpret_cast<const void*>(kernel), sizeof(lane_channel::Shared<C>)};
}

template <OnePass Config, typename T>
Kernel of_rank(const pm_cross_scan_params& p) {
  if (p.dt_rank == 4) return entry<Config, T, 4>(p.d_inner);
  if (p.dt_rank == 8) return entry<Config, T, 8>(p.d_inner);
  if (p.dt_rank == 16) return entry<Config, T, 16>(p.d_inner);
  return {nullptr, 0};
}

}  // namespace

Kernel lane_channel_kernel(OnePass config, const pm_cross_scan_params& p) {
  const bool half = p.dtype == PM_FLOAT16;
  if (config == kHalfChannel) {
    return half ? of_rank<kHalfChannel, __half>(p) : Kernel{nullptr, 0};
  }
  return half ? of_rank<kWholeChannel, __half>(p) : of_rank<kWholeChannel, float>(p);
}

Kernel lane_channel_long_kernel(OnePass config, const pm_cross_scan_params& p) {
  if (config != kHalfChannel || p.dtype != PM_FLOAT16) return {nullptr, 0};
  if (p.dt_rank == 4) return entry<kHalfChannel, __half, 4, true>(p.d_inner);
  if (p.dt_rank == 16) return entry<kHalfChannel, __half, 16, true>(p.d_inner);
  return {nullptr, 0};
}

}  // namespace posemamba::cuda
