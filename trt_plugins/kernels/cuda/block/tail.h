// The designs of the block's tail, and what their launchers share. All compute the same: the scan
// has been enqueued, `scan` is what it left for a merge, and `params` has been checked.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/cross_launch.h"
#include "posemamba/block_cuda.h"

namespace posemamba::cuda {

constexpr int kTailRows = 32;  // most positions of a thread block of tail_single; the embedding's

inline dim3 tail_grid(int64_t steps, int64_t batch, int rows) {
  return dim3(static_cast<unsigned>((steps + rows - 1) / rows), static_cast<unsigned>(batch));
}

// A thread block for every 16 or 32 positions.
cudaError_t launch_tail_single(const pm_block_tail_params& params, const CrossArgs& scan,
                               const Device& device, cudaStream_t stream);

// The same with warpgroup products, for few blocks; and whether this device runs it.
cudaError_t launch_tail_warpgroups(const pm_block_tail_params& params, const CrossArgs& scan,
                                   const Device& device, cudaStream_t stream);
bool tail_has_warpgroups(const pm_block_tail_params& params, const Device& device);

// Clusters of blocks that part the weights, at d_model 256; and whether this device runs it.
cudaError_t launch_tail_clusters(const pm_block_tail_params& params, const CrossArgs& scan,
                                 const Device& device, cudaStream_t stream);
bool tail_has_clusters(const pm_block_tail_params& params, const Device& device);

// One thread block a multiprocessor, which walks over tiles of 128 positions. `workspace` is the
// scan's: its front (scan_front_bytes) holds weights in another order, made while the scan runs. At
// d_model 256 the gated rows replace the outputs of direction 0.
cudaError_t launch_tail_persistent(const pm_block_tail_params& params, const CrossArgs& scan,
                                   void* workspace, const Device& device, cudaStream_t stream);

// The fastest of them; and which that is.
enum class TailDesign { kSingle, kWarpgroups, kClusters, kPersistent };
TailDesign choose_tail(const pm_block_tail_params& params, const Device& device);
cudaError_t launch_tail(const pm_block_tail_params& params, const CrossArgs& scan, void* workspace,
                        const Device& device, cudaStream_t stream);

// Whether this device runs the persistent design at these sizes; and whether it is the faster one.
bool tail_can_persist(const pm_block_tail_params& params, const Device& device);
bool tail_persists(const pm_block_tail_params& params, const Device& device);

}  // namespace posemamba::cuda
