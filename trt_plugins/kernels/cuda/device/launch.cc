#include "cuda/device/launch.h"

#include <algorithm>
#include <atomic>

namespace posemamba::cuda {
namespace {

constexpr std::size_t kDefaultShared = 48 * 1024;
constexpr int kMaxDevices = 64;
// shared bytes << 32 | multiprocessors << 8 | major; 0 means not yet asked
std::atomic<uint64_t> cached[kMaxDevices];
// Whether the device runs code with the kernels' own wait: 0 not yet asked, 1 no, 2 yes.
std::atomic<uint8_t> waiting[kMaxDevices];

uint64_t query(int device) {
  int multiprocessors = 0;
  int major = 0;
  int shared = 0;
  if (cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) !=
          cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
          cudaSuccess) {
    return 0;
  }
  return static_cast<uint64_t>(shared) << 32 | static_cast<uint64_t>(multiprocessors) << 8 |
         static_cast<uint64_t>(major);
}

// A device of major 9 or more may still run code that the driver made from PTX for an older one,
// and that does not wait (`dependency_wait`): launched early, it would read what is not there yet.
// All kernels of a build are compiled for the same architectures, so one answers for all.
bool waits_itself(const void* kernel, const Device& device) {
  if (device.major < 9) return false;
  const bool known = device.index < kMaxDevices;
  const uint8_t answer = known ? waiting[device.index].load(std::memory_order_relaxed) : 0;
  if (answer != 0) return answer == 2;
  cudaFuncAttributes facts{};
  if (cudaFuncGetAttributes(&facts, kernel) != cudaSuccess) return false;
  const bool waits = facts.ptxVersion >= 90;
  if (known) waiting[device.index].store(waits ? 2 : 1, std::memory_order_relaxed);
  return waits;
}

}  // namespace

Device current_device() {
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess || device < 0) return {0, 0, 0, 0};
  uint64_t facts = device < kMaxDevices ? cached[device].load(std::memory_order_relaxed) : 0;
  if (facts == 0) {
    facts = query(device);
    if (device < kMaxDevices) cached[device].store(facts, std::memory_order_relaxed);
  }
  return {static_cast<int32_t>(facts >> 8 & 0xffffff), static_cast<int32_t>(facts & 0xff),
          static_cast<std::size_t>(facts >> 32), device};
}

cudaError_t error_of(pm_status status) {
  if (status == PM_OK) return cudaSuccess;
  return status == PM_UNSUPPORTED ? cudaErrorNotSupported : cudaErrorInvalidValue;
}

cudaError_t launch(const void* kernel, dim3 grid, dim3 block, void** args, bool overlap,
                   const Device& device, cudaStream_t stream, std::size_t shared, unsigned cluster,
                   unsigned blocks) {
  if (shared > device.shared_bytes) return cudaErrorNotSupported;
  if (shared > kDefaultShared) {  // idempotent, allowed while a stream captures
    const cudaError_t error = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  if (blocks > 0) {
    // The launch's attribute of the same name is younger than some toolkits of CUDA 12.
    const std::size_t whole = device.shared_bytes + kReservedShared;
    const std::size_t percent = (100 * blocks * (shared + kReservedShared) + whole - 1) / whole;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             static_cast<int>(std::min<std::size_t>(percent, 100)));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (overlap && waits_itself(kernel, device)) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {cluster, 1, 1};
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  return cudaLaunchKernelExC(&config, kernel, args);
}

}  // namespace posemamba::cuda
