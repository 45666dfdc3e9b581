// The CUDA launchers' interface over the CPU kernels: with it the plugin's sources become a library
// whose enqueue() runs where there is no GPU, so that what it hands to a launcher can be checked.
#include <algorithm>

#include "posemamba/scan_cpu.h"
#include "posemamba/scan_cuda.h"

namespace {

constexpr int32_t kConfigs = 2;  // so many tactics of each variant are pretended

size_t padded(size_t bytes) { return (bytes + 255) / 256 * 256; }

bool possible(const pm_cuda_tuning* tuning) {
  return tuning == nullptr || (tuning->variant >= PM_CUDA_AUTO &&
                               tuning->variant <= PM_CUDA_SERIAL && tuning->config <= kConfigs);
}

bool is_default(const pm_cuda_tuning* tuning) {
  return tuning == nullptr || (tuning->variant == PM_CUDA_AUTO && tuning->config == 0);
}

cudaError_t error_of(pm_status status) {
  return status == PM_OK ? cudaSuccess : cudaErrorInvalidValue;
}

// Flips the last bit of one output element, another for each tuning, so that results tell whether
// the tuning arrived.
void mark(void* y, int64_t elements, int32_t dtype, const pm_cuda_tuning* tuning) {
  const int64_t element = tuning == nullptr ? 0 : tuning->variant * 16 + tuning->config;
  const int64_t size = dtype == PM_FLOAT16 ? 2 : 4;
  if (element > 0 && element < elements) static_cast<unsigned char*>(y)[element * size] ^= 1;
}

}  // namespace

extern "C" {

size_t pm_cuda_cross_scan_workspace_limit(const pm_cross_scan_params* largest) {
  return padded(pm_cpu_cross_scan_workspace(largest, 1));
}

size_t pm_cuda_cross_scan_workspace(const pm_cross_scan_params* params,
                                    const pm_cuda_tuning* tuning) {
  return possible(tuning) ? padded(pm_cpu_cross_scan_workspace(params, 1)) : 0;
}

cudaError_t pm_cuda_cross_scan(const pm_cross_scan_params* params, const pm_cuda_tuning* tuning,
                               void* workspace, cudaStream_t) {
  const pm_status status = pm_cpu_cross_scan(params, workspace, nullptr);
  const int64_t elements = params->frames * params->d_inner;
  if (status == PM_OK) mark(params->y, elements, params->dtype, tuning);
  if (status == PM_OK && params->half_sums != 0) {  // it arrived
    static_cast<unsigned char*>(params->y)[2 * (elements - 1)] ^= 1;
  }
  return error_of(status);
}

size_t pm_cuda_scan_workspace_limit(const pm_scan_params* largest) {
  return padded(pm_cpu_scan_workspace(largest, 1));
}

size_t pm_cuda_scan_workspace(const pm_scan_params* params, const pm_cuda_tuning* tuning) {
  return possible(tuning) ? padded(pm_cpu_scan_workspace(params, 1)) : 0;
}

cudaError_t pm_cuda_scan(const pm_scan_params* params, const pm_cuda_tuning* tuning,
                         void* workspace, cudaStream_t) {
  const pm_status status = pm_cpu_scan(params, workspace, nullptr);
  if (status == PM_OK) mark(params->y, params->channels * params->length, params->dtype, tuning);
  return error_of(status);
}

size_t pm_cuda_indexed_scan_workspace_limit(const pm_indexed_scan_params* largest) {
  return padded(pm_cpu_indexed_scan_workspace(largest, 1));
}

size_t pm_cuda_indexed_scan_workspace(const pm_indexed_scan_params* params,
                                      const pm_cuda_tuning* tuning) {
  return is_default(tuning) ? pm_cuda_indexed_scan_workspace_limit(params) : 0;
}

cudaError_t pm_cuda_indexed_scan(const pm_indexed_scan_params* params, const pm_cuda_tuning*,
                                 void* workspace, cudaStream_t) {
  return error_of(pm_cpu_indexed_scan(params, workspace, nullptr));
}

size_t pm_cuda_stateful_scan_workspace_limit(const pm_stateful_scan_params* largest) {
  return padded(pm_cpu_stateful_scan_workspace(largest, 1));
}

size_t pm_cuda_stateful_scan_workspace(const pm_stateful_scan_params* params,
                                       const pm_cuda_tuning* tuning) {
  return is_default(tuning) ? pm_cuda_stateful_scan_workspace_limit(params) : 0;
}

cudaError_t pm_cuda_stateful_scan(const pm_stateful_scan_params* params, const pm_cuda_tuning*,
                                  void* workspace, cudaStream_t) {
  return error_of(pm_cpu_stateful_scan(params, workspace, nullptr));
}

const char* pm_cuda_architectures(void) { return ""; }

}  // extern "C"
