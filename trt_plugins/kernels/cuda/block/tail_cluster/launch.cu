#include "cuda/block/tail.h"
#include "cuda/block/tail_cluster/kernel.cuh"

namespace posemamba::cuda {
namespace {

constexpr int kWidth = 256;

template <int Cluster, int Rows>
cudaError_t run(const pm_block_tail_params& params, const CrossArgs& scan, const Device& device,
                cudaStream_t stream) {
  pm_block_tail_params copy = params;
  CrossArgs args_of_scan = scan;
  void* args[] = {&args_of_scan, &copy};
  dim3 grid = tail_grid(scan.steps, params.scan.batch, Rows);
  grid.x *= Cluster;
  return launch(
      reinterpret_cast<const void*>(&block_tail_cluster_kernel<kWidth, Cluster, Rows, false>), grid,
      dim3(32 * kTailWarps), args, true, device, stream,
      sizeof(TailClusterShared<kWidth, Cluster, Rows>), Cluster);
}

}  // namespace

cudaError_t launch_tail_clusters(const pm_block_tail_params& params, const CrossArgs& scan,
                                 const Device& device, cudaStream_t stream) {
  return run<2, 64>(params, scan, device, stream);
}

bool tail_has_clusters(const pm_block_tail_params& params, const Device& device) {
  return kHasWarpgroups && device.major == 9 && params.scan.directions == 4 &&
         params.d_model == kWidth &&
         sizeof(TailClusterShared<kWidth, 2, 64>) <= device.shared_bytes;
}

}  // namespace posemamba::cuda
