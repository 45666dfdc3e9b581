// A CUDA thread block on one CPU thread: its threads are coroutines that give way where they would
// wait for each other.
//
// What it finds: threads that do not meet (`cudaErrorLaunchFailure`), shared memory read before it
// is written (NaN) or written beyond its end, and, where a run in another order gives other bits,
// accesses with no barrier between them. What it does not: the hardware's own arithmetic of the
// special function unit, memory models, or speed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime_api.h"

// Of the coroutine that runs.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_on_cpu {

// Runs call(arg) once a thread, blocks one after another.
cudaError_t run(dim3 grid, dim3 threads, std::size_t shared, void (*call)(const void*),
                const void* arg);

void sync_block(int line);
// Every lane of the warp gives 32 bits; the result is what all lanes gave, until the next exchange.
const uint32_t* exchange(uint32_t bits, int line);
int lane();
unsigned char* shared_memory();

// Arrival barriers, which fit into 64 bits.
void barrier_init(uint64_t* barrier, int arrivals);
void barrier_arrive(uint64_t* barrier);
void barrier_wait(const uint64_t* barrier, uint32_t parity);

}  // namespace cuda_on_cpu
