#include <algorithm>
#include <iterator>

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
  return launch(reinterpret_cast<const void*>(&block_tail_cluster_kernel<kWidth, Cluster, Rows>),
                grid, dim3(32 * kTailWarps), args, true, device, stream,
                sizeof(TailClusterShared<kWidth, Cluster, Rows>), Cluster);
}

struct Shape {
  int cluster;
  int rows;
  int microseconds;  // of as many clusters as run at once, on an H200
  decltype(&launch_tail_clusters) launch;
};
constexpr Shape kShapes[] = {{4, 16, 11, run<4, 16>},
                             {4, 32, 12, run<4, 32>},
                             {2, 32, 16, run<2, 32>},
                             {2, 48, 20, run<2, 48>},
                             {2, 64, 27, run<2, 64>}};

// Clusters of two are neighbours on the device. Of four an H200 with 132 multiprocessors runs 30 at
// once (measured): its groups of multiprocessors are no whole fours.
int64_t at_once(int cluster, const Device& device) {
  const int all = device.multiprocessors;
  return std::max((cluster == 2 ? all : all - all / 11) / cluster, 1);
}

}  // namespace

cudaError_t launch_tail_clusters(const pm_block_tail_params& params, const CrossArgs& scan,
                                 const Device& device, cudaStream_t stream) {
  const auto time = [&](const Shape& shape) {
    const dim3 grid = tail_grid(scan.steps, params.scan.batch, shape.rows);
    const int64_t clusters = int64_t{grid.x} * grid.y;
    const int64_t most = at_once(shape.cluster, device);
    return (clusters + most - 1) / most * shape.microseconds;
  };
  const Shape* best =
      std::min_element(std::begin(kShapes), std::end(kShapes),
                       [&](const Shape& a, const Shape& b) { return time(a) < time(b); });
  return best->launch(params, scan, device, stream);
}

bool tail_has_clusters(const pm_block_tail_params& params, const Device& device) {
  return kHasWarpgroups && device.major == 9 && params.scan.directions == 4 &&
         params.d_model == kWidth &&
         sizeof(TailClusterShared<kWidth, 2, 64>) <= device.shared_bytes;
}

}  // namespace posemamba::cuda
