#include "cuda/scan/one_pass.h"
#include "cuda/scan/split_channel/resident/kernel.cuh"
#include "cuda/scan/split_channel/resident/launch.h"

namespace posemamba::cuda {

Kernel resident_kernel(const pm_cross_scan_params& params) {
  constexpr OnePassShape kShape = kOnePassShapes[kResident];
  static_assert(kShape.channels == resident::kChannels && kShape.threads == resident::kThreads);
  if (!resident::takes(params)) return {nullptr, 0};
  return {reinterpret_cast<const void*>(&resident::scan_kernel), sizeof(resident::Shared)};
}

cudaError_t resident::launch_scan(const Division& division, const split_channel::Prepared& from,
                                  const Device& device, cudaStream_t stream, CrossArgs* args) {
  args->blocks_per_row = (args->d_inner + kChannels - 1) / kChannels;
  split_channel::Prepared prepared = from;
  int chunks = division.chunks;
  void* arguments[] = {args, &prepared, &chunks};
  // Shared memory gives every block a multiprocessor of its own.
  return launch(reinterpret_cast<const void*>(&scan_kernel),
                dim3(static_cast<unsigned>(division.blocks())), dim3(kThreads), arguments, true,
                device, stream, sizeof(Shared));
}

}  // namespace posemamba::cuda
