#include <algorithm>
#include <iterator>

#include "cuda/device/start.h"
#include "cuda/scan/along_time/kernel.cuh"
#include "cuda/scan/along_time/launch.h"

namespace posemamba::cuda::along_time {
namespace {

constexpr int32_t kFewStates = 4;           // more cost it more than padding to 16 costs the others
constexpr int64_t kManyRows = 8;            // an SM: enough that 4 steps a lane keep it busy
constexpr int64_t kOneAfterAnother = 4096;  // states and steps of a lone warp, which nothing hides
constexpr int32_t kTile = 256;
constexpr int64_t kLoneRows = 4;  // an SM

int64_t rows_of(const pm_scan_params& p) { return p.batch * p.groups * int64_t{p.channels}; }

bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool many_rows(const pm_scan_params& p, const Device& device) {
  return rows_of(p) >= kManyRows * device.multiprocessors;
}

template <typename T, int kSteps>
void (*kernel_of(const pm_scan_params& p))(Args) {
  const void* rows[] = {p.u, p.delta, p.B, p.C, p.z, p.y};  // no z: null, on 16 bytes
  const bool aligned =
      p.length % kSteps == 0 && std::all_of(std::begin(rows), std::end(rows), on_16_bytes);
  return aligned ? &along_time_kernel<T, kSteps, true> : &along_time_kernel<T, kSteps, false>;
}

template <typename T>
void (*kernel_of(const pm_scan_params& p, const Device& device))(Args) {
  return many_rows(p, device) ? kernel_of<T, 4>(p) : kernel_of<T, 8>(p);
}

}  // namespace

bool fits(const pm_scan_params& p) { return p.d_state <= kStates; }

bool wins(const pm_scan_params& p, const Device& device) {
  if (p.d_state <= kFewStates) {
    return many_rows(p, device) || p.d_state * p.length <= kOneAfterAnother;
  }
  // One tile, half of it at least, where the chunked design needs two launches.
  return p.d_state <= 16 && p.length > kTile / 2 && p.length <= kTile &&
         rows_of(p) <= kLoneRows * device.multiprocessors;
}

cudaError_t run(const pm_scan_params& p, const Device& device, cudaStream_t stream) {
  const int64_t blocks = (rows_of(p) + kWarps - 1) / kWarps;
  const auto kernel =
      p.dtype == PM_FLOAT16 ? kernel_of<__half>(p, device) : kernel_of<float>(p, device);
  return start(kernel, blocks, 32 * kWarps, Args{sequence_args_of(p), rows_of(p)}, device, stream);
}

}  // namespace posemamba::cuda::along_time
