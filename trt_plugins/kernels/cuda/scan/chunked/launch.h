// The launches of a chunked scan, for either version of the operator.
#pragma once

#include "cuda/device/start.h"
#include "cuda/scan/chunked/phase.h"
#include "cuda/scan/chunked/plan.h"
#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

inline std::size_t size_of(int32_t dtype) { return dtype == PM_FLOAT16 ? 2 : 4; }

// Whether `elements` of `size` bytes may be read at once at any multiple of them in any row.
inline bool aligned(const void* base, int64_t stride, int elements, std::size_t size) {
  return reinterpret_cast<uintptr_t>(base) % (static_cast<std::size_t>(elements) * size) == 0 &&
         stride % elements == 0;
}

// What a scan keeps in its workspace, in bytes of each part.
struct ChunkedLayout {
  std::size_t partial;  // outputs of every direction in step order, in the type of x
  std::size_t state;
  std::size_t dt_sum;

  std::size_t total() const { return partial + state + dt_sum; }
};

// `rows` of `steps`: batch items times directions.
inline ChunkedLayout chunked_layout(int64_t rows, int64_t steps, int32_t d_inner, int32_t dtype,
                                    const Plan& plan) {
  const auto carried = plan.chunks > 1 ? static_cast<std::size_t>(rows * plan.chunks) *
                                             static_cast<std::size_t>(plan.channels())
                                       : 0;
  return {align_up(static_cast<std::size_t>(rows * steps) * static_cast<std::size_t>(d_inner) *
                   size_of(dtype)),
          align_up(carried * static_cast<std::size_t>(plan.states) * sizeof(float)),
          align_up(carried * sizeof(float))};
}

// The arguments that follow from the parameters alone, sizes of the walk excepted.
template <class Params>
CommonArgs common_args_of(const Params& p, const Plan& plan, const ChunkedLayout& layout,
                          void* workspace) {
  const std::size_t size = size_of(p.dtype);
  auto* bytes = static_cast<unsigned char*>(workspace);
  CommonArgs a{};
  a.x = p.x, a.x_dbl = p.x_dbl, a.dt_weight = p.dt_weight, a.dt_bias = p.dt_bias;
  a.A = p.A, a.D = p.D, a.y = p.y;
  a.partial = bytes;
  a.carry.state = reinterpret_cast<float*>(bytes + layout.partial);
  a.carry.dt_sum = reinterpret_cast<float*>(bytes + layout.partial + layout.state);
  a.carry.chunks = plan.chunks, a.carry.channels = plan.channels();
  a.x_stride = p.x_stride, a.x_dbl_stride = p.x_dbl_stride, a.y_stride = p.y_stride;
  a.d_inner = p.d_inner, a.d_state = p.d_state, a.dt_rank = p.dt_rank;
  a.directions = p.directions;
  a.blocks_per_row = plan.blocks_per_row, a.chunk_steps = plan.chunk_steps;
  a.first_steps = plan.first_steps;
  a.pairs_aligned = aligned(p.x, p.x_stride, 2, size);
  const int word = static_cast<int>(16 / size);  // channels
  a.words_aligned = aligned(p.x, p.x_stride, word, size) && aligned(p.y, p.y_stride, word, size);
  return a;
}

template <class Args>
cudaError_t launch_chunked(const Kernel& kernel, const Plan& plan, int64_t rows,
                           const Device& device, cudaStream_t stream, Args* args) {
  const auto function = reinterpret_cast<void (*)(Args)>(const_cast<void*>(kernel.function));
  const auto blocks = static_cast<unsigned>(rows * int64_t{plan.blocks_per_row});
  const auto run = [&](int phase, int chunks) {
    args->phase = phase;
    // Blocks that start while the previous kernel still drains go where there is room, two to an SM
    // if they fit; with no more blocks than SMs that would leave half of the GPU idle.
    const bool overlap =
        plan.blocks_per_sm == 1 || int64_t{blocks} * chunks > device.multiprocessors;
    return start(function, dim3(blocks, static_cast<unsigned>(chunks)),
                 dim3(static_cast<unsigned>(plan.threads)), *args, overlap, device, stream,
                 kernel.shared);
  };
  if (plan.chunks == 1) return run(kSerial, 1);
  const cudaError_t error = run(kStates, plan.chunks - 1);
  return error != cudaSuccess ? error : run(kOutputs, plan.chunks - 1);
}

// Threads of a merge: 16 bytes of channels each, the rest of the block beside each other positions.
inline dim3 merge_block(int32_t d_inner, int32_t dtype, unsigned threads) {
  const unsigned word = 16 / static_cast<unsigned>(size_of(dtype));  // channels a thread
  unsigned lanes = 1;
  while (lanes * word < static_cast<unsigned>(d_inner) && lanes < threads) lanes *= 2;
  return dim3(lanes, threads / lanes);
}

}  // namespace posemamba::cuda
