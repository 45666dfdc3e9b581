// The two functions IPluginRegistry::loadLibrary looks for. Nothing registers itself when the
// library is loaded, so it needs no TensorRT to be linked with, and may be loaded any number of
// times, or be unpacked from an engine that carries it.
#include <iterator>

#include "cross_selective_scan.h"
#include "cross_selective_scan_v2.h"
#include "plugin.h"
#include "selective_scan.h"
#include "selective_scan_v2.h"

#define POSEMAMBA_EXPORT extern "C" __attribute__((visibility("default")))

POSEMAMBA_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  posemamba::trt::adopt_runtime(__builtin_return_address(0));
  posemamba::trt::adopt_finder(finder);
}

POSEMAMBA_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  using namespace posemamba::trt;
  static Creator<CrossSelectiveScan> cross_selective_scan;
  static Creator<SelectiveScan> selective_scan;
  static Creator<CrossSelectiveScanV2> cross_selective_scan_v2;
  static Creator<SelectiveScanV2> selective_scan_v2;
  static nvinfer1::IPluginCreatorInterface* const creators[] = {
      &cross_selective_scan, &selective_scan, &cross_selective_scan_v2, &selective_scan_v2};
  adopt_runtime(__builtin_return_address(0));
  count = runtime_is_supported() ? static_cast<int32_t>(std::size(creators)) : 0;
  if (count > 0) {
    log_verbose("plugins %s, built against the headers of %s %d.%d", POSEMAMBA_VERSION,
                POSEMAMBA_TENSORRT_FLAVOR, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR);
  }
  return creators;
}

// The GPUs the kernels inside are compiled for, as pm_cuda_architectures of scan_cuda.h.
POSEMAMBA_EXPORT const char* pm_trt_architectures() { return pm_cuda_architectures(); }
