// The two functions IPluginRegistry::loadLibrary looks for. Nothing registers itself when the
// library is loaded, so it needs no TensorRT to be linked with, and may be loaded any number of
// times, or be unpacked from an engine that carries it.
#include <array>
#include <tuple>

#include "block_ops.h"
#include "cross_selective_scan.h"
#include "cross_selective_scan_v2.h"
#include "fused_ops.h"
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
  // One creator an operator and version.
  static std::tuple<Creator<CrossSelectiveScan>, Creator<SelectiveScan>,
                    Creator<CrossSelectiveScanV2>, Creator<SelectiveScanV2>, Creator<ConvSilu>,
                    Creator<GatedNorm>, Creator<AddNorm>, Creator<Embed>, Creator<Block>,
                    Creator<LastBlock>, Creator<ConvProj>, Creator<BlockTail>,
                    Creator<LastBlockTail>>
      all;
  static const auto creators = std::apply(
      [](auto&... one) {
        return std::array<nvinfer1::IPluginCreatorInterface*, sizeof...(one)>{&one...};
      },
      all);
  adopt_runtime(__builtin_return_address(0));
  count = runtime_is_supported() ? static_cast<int32_t>(creators.size()) : 0;
  if (count > 0) {
    log_verbose("plugins %s, built against the headers of %s %d.%d", POSEMAMBA_VERSION,
                POSEMAMBA_TENSORRT_FLAVOR, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR);
  }
  return creators.data();
}

// The GPUs the kernels inside are compiled for, as pm_cuda_architectures of scan_cuda.h.
POSEMAMBA_EXPORT const char* pm_trt_architectures() { return pm_cuda_architectures(); }
