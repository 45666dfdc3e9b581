#include "cuda/scan/lane_channel/kernel.cuh"
#include "cuda/scan/one_pass.h"

namespace posemamba::cuda {
namespace {

template <typename T, int Rank>
Kernel entry() {
  using C = lane_channel::Config<T, Rank>;
  static_assert(C::kChannels == kOnePassShapes[kWholeChannel].channels &&
                    C::kThreads == kOnePassShapes[kWholeChannel].threads,
                "as one_pass.h says");
  return {reinterpret_cast<const void*>(&lane_channel::lane_channel_kernel<C>),
          sizeof(lane_channel::Shared<C>)};
}

template <typename T>
Kernel of_rank(int32_t rank) {
  if (rank == 4) return entry<T, 4>();
  if (rank == 8) return entry<T, 8>();
  if (rank == 16) return entry<T, 16>();
  return {nullptr, 0};
}

}  // namespace

Kernel lane_channel_kernel(int32_t dtype, int32_t dt_rank) {
  return dtype == PM_FLOAT16 ? of_rank<__half>(dt_rank) : of_rank<float>(dt_rank);
}

}  // namespace posemamba::cuda
