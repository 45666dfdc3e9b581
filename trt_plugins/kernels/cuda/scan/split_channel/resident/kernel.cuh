// Resident design of CrossSelectiveScan, for few channels and one clip, in one launch: chunks of
// the sequence that fill the GPU, each in the shared memory of its block. A first pass finds the
// states that the chunk ends with, beginning with none; blocks tell each other; a second pass makes
// the outputs.
#pragma once

#include "cuda/scan/split_channel/copies.cuh"
#include "cuda/scan/split_channel/resident/converter.cuh"
#include "cuda/scan/split_channel/resident/fold.cuh"
#include "cuda/scan/split_channel/resident/scanner.cuh"

namespace posemamba::cuda::resident {

// Chunks are the slowest in the order of blocks, and a block waits for chunks before its own alone:
// however many blocks run at a time, the first of them never waits. GPUs start blocks in that
// order; decoupled scans rely on it, though no document promises it.
__global__ void __launch_bounds__(kThreads, 1)
    scan_kernel(const __grid_constant__ CrossArgs a, const __grid_constant__ Prepared from,
                int chunks) {
  Shared& s = *reinterpret_cast<Shared*>(dynamic_shared());
  const int thread = static_cast<int>(threadIdx.x);
  // From one lane, so that the compiler knows that a warp goes one way.
  const int warp = __shfl_sync(~0u, thread / 32, 0);
  const int blocks = static_cast<int>(gridDim.x);
  const int rows = blocks / chunks;  // and groups of channels
  const int number = static_cast<int>(blockIdx.x) / rows;
  const int group = static_cast<int>(blockIdx.x) - number * rows;
  const int first = group % a.blocks_per_row * kChannels;
  const int row = group / a.blocks_per_row;  // batch * directions + k
  const int direction = row % a.directions;
  const int quads = from.steps4 / kQuad;
  const int quad0 = static_cast<int>(int64_t{quads} * number / chunks);
  const Chunk chunk{quad0 * kQuad,
                    static_cast<int>(int64_t{quads} * (number + 1) / chunks) - quad0};

  if (thread == 0) {
    barrier_init(&s.copied, split_channel::copy_arrivals<kWarps>());
    split_channel::barriers_ready();
  }
  Converter converter(a, direction, first, warp);
  const int sub = warp / (kSubThreads / 32);
  Scanner scanner(a, direction, first, sub, thread % kSubThreads);
  const Folder folder(a, direction, first);
  __syncthreads();    // the barrier is ready
  dependency_wait();  // what is prepared, and the exchange, come from the previous launch
  dependency_release();
  converter.load(from, row, chunk);
  split_channel::copy_states<kWarps>(
      s.bc, from.bc + (int64_t{row} * from.steps4 + chunk.begin) * kStates2,
      chunk.quads * kQuad * kStates2, thread, &s.copied);
  converter.store(s, chunk);
  barrier_wait(&s.copied, 0);
  __syncthreads();  // the chunk is complete

  const int quad = chunk.first_quad(sub);
  const int end = chunk.first_quad(sub + 1);
  scanner.find_end(s, quad, end);
  // Where outputs go, before anyone waits.
  const int step = chunk.begin + quad * kQuad;
  const int channel = first + scanner.channel();
  __half* out = static_cast<__half*>(a.partial) +
                (int64_t{row} * a.steps + step + scanner.lane()) * a.d_inner + channel;
  __syncthreads();  // what all sub-chunks end with
  const int slot = group * chunks;
  auto* exchange = static_cast<float*>(from.clear.memory);
  folder.fold(s, Words(exchange, blocks, slot + number), number + 1 < chunks,
              Words(exchange, blocks, slot), number);
  __syncthreads();  // and what they begin with
  scanner.find_outputs(s, quad, end, out, a.d_inner, channel < a.d_inner ? a.steps - step : 0);
}

}  // namespace posemamba::cuda::resident
