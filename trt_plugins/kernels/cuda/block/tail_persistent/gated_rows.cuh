// The gated rows of a width whose products leave no registers for gate warps: a kernel of their own
// makes them, bound by memory alone. It leaves them in the workspace, where direction 0's outputs
// of the same positions were, which nobody else reads.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/tail_persistent/positions.cuh"

namespace posemamba::cuda {

template <int D>
__device__ __forceinline__ __half* gated_row(const CrossArgs& c, const RowPlace& p) {
  const int step = c.step_base[0] + c.step_frame[0] * p.at.frame + c.step_joint[0] * p.at.joint;
  return static_cast<__half*>(c.partial) + (int64_t{p.item} * 4 * c.steps + step) * 2 * D;
}

constexpr int kGatedWarps = 16;

// A thread block a multiprocessor. A warp makes a row at a time; the others hide its reads.
template <int D>
__global__ void __launch_bounds__(32 * kGatedWarps, 1)
    gated_rows_kernel(const __grid_constant__ CrossArgs c,
                      const __grid_constant__ pm_block_tail_params a,
                      const __grid_constant__ Positions positions) {
  __shared__ TailVectors<D, true> vectors;
  __shared__ unsigned char limb[PM_MAX_JOINTS];
  using Rows = GateRows<D, 1>;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  vectors.copy_from(a.vectors, thread, 32 * kGatedWarps);
  for (int i = thread; i < PM_MAX_JOINTS; i += 32 * kGatedWarps) limb[i] = c.limb_index[i];
  copies_done();
  __syncthreads();    // the parameters are there
  dependency_wait();  // the directions, u and z come from earlier launches
  dependency_release();
  const int stride = static_cast<int>(gridDim.x) * kGatedWarps;
#pragma unroll 1
  for (int row = static_cast<int>(blockIdx.x) * kGatedWarps + thread / 32; row < positions.rows;
       row += stride) {
    const RowPlace p = positions.place(row);
    // Items lie one after the other, so rows of the batch do for u and z.
    const GateSource from = {
        static_cast<const __half*>(c.partial) + int64_t{p.item} * Rows::kFour * c.steps * 2 * D,
        static_cast<const __half*>(c.x), static_cast<const __half*>(a.z)};
    Rows rows;
    rows.load(0, c, a, Rows::kFour, from, row, p.at, limb[p.at.joint], lane);
    typename Rows::Group y;
    rows.skip(vectors, lane, y);
    rows.add_directions(Rows::kFour, y);
    y.normalize(a.out_epsilon, lane, [&](int q, int which) {
      return vectors.gate_quad(vectors.out_norm[which], q, lane);
    });
    write_gated(y, rows.gate, lane, gated_row<D>(c, p), 0);
  }
}

}  // namespace posemamba::cuda
