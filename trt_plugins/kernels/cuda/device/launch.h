// Shared by the launchers: device facts, status translation, kernel launches.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "posemamba/scan.h"

namespace posemamba::cuda {

struct Device {
  int32_t multiprocessors;   // 0: no usable device
  int32_t major;             // compute capability
  std::size_t shared_bytes;  // most shared memory of a thread block
  int32_t index;             // CUDA's number of it
};

// The current device; queried once per device, cached for the life of the process.
Device current_device();

// Shared memory that every thread block takes beside its own; an SM has as much more than a thread
// block may have.
constexpr std::size_t kReservedShared = 1024;

struct Kernel {
  const void* function;
  std::size_t shared;  // bytes of dynamic shared memory
};

cudaError_t error_of(pm_status status);

// `overlap`: the kernel waits for its predecessor itself (programmatic dependent launch), so its
// prologue may run early. Only where the device has it and runs code that waits. `shared`: bytes of
// dynamic shared memory; cudaErrorNotSupported where a thread block cannot have as much. `cluster`:
// neighbours along x that are a cluster. `blocks`: how many an SM shall have shared memory for,
// every launch of the kernel the same number; the rest is L1, for the kernels after it too, since
// an SM is not divided anew for one that needs less. 0: for as many as the SM can hold.
cudaError_t launch(const void* kernel, dim3 grid, dim3 block, void** args, bool overlap,
                   const Device& device, cudaStream_t stream, std::size_t shared = 0,
                   unsigned cluster = 1, unsigned blocks = 0);

// Whether a row-wise kernel should put 16 warps on its 32 positions rather than 8: twice the
// parallelism a block, for grids that give an SM no second block.
inline bool few_blocks(int64_t batch, int64_t positions, const Device& device) {
  return batch * ((positions + 31) / 32) <= device.multiprocessors;
}

constexpr std::size_t align_up(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace posemamba::cuda
