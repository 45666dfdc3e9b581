// Entry point of libposemamba_ort.so: SessionOptions.register_custom_ops_library finds it by name.
#include <mutex>
#include <new>

#include "block_ops.h"
#include "cpu_device.h"
#include "cross_selective_scan_v2.h"
#include "op_row.h"
#include "selective_scan.h"
#ifdef POSEMAMBA_ORT_CUDA
#include "cuda_device.h"
#include "fused_ops.h"
#endif

namespace posemamba::ort {
namespace {

// A row for each operator, in one activation type. ONNX Runtime picks by type, and by the provider
// a node is on.
template <class Device, ElementType Activation, class... Kernels>
Status* add_rows(const Api* api, CustomOpDomain* domain) {
  const CustomOp* const rows[] = {OpRow<Kernels, Device, Activation>::make(api)...};
  for (const CustomOp* row : rows) {
    if (row == nullptr) return CreateStatus(api, kOrtFail, "posemamba: out of memory");
    PM_ORT_RETURN_IF_ERROR(CustomOpDomain_Add(api, domain, row));
  }
  return nullptr;
}

template <class Device, ElementType Activation>
Status* add_composed(const Api* api, CustomOpDomain* domain) {
  return add_rows<Device, Activation, AnyCrossSelectiveScan, SelectiveScan, ConvSilu, GatedNorm,
                  AddNorm>(api, domain);
}

Status* make_domain(const Api* api, CustomOpDomain** domain) {
  PM_ORT_RETURN_IF_ERROR(CreateCustomOpDomain(api, "posemamba", domain));
  PM_ORT_RETURN_IF_ERROR((add_composed<CpuDevice, kOrtFloat>(api, *domain)));
  PM_ORT_RETURN_IF_ERROR((add_composed<CpuDevice, kOrtFloat16>(api, *domain)));
#ifdef POSEMAMBA_ORT_CUDA
  PM_ORT_RETURN_IF_ERROR((add_composed<CudaDevice, kOrtFloat>(api, *domain)));
  PM_ORT_RETURN_IF_ERROR((add_composed<CudaDevice, kOrtFloat16>(api, *domain)));
  PM_ORT_RETURN_IF_ERROR((add_rows<CudaDevice, kOrtFloat16, Embed, Block, LastBlock, ConvProj,
                                   BlockTail, LastBlockTail>(api, *domain)));
#endif
  return nullptr;
}

// A process may hold two ONNX Runtimes, Python's and the one that posemamba_runtime opened, even of
// two releases. What one of them made is of no use to the other, so each has a domain. Session
// options keep only a reference: a domain lives as long as the process.
struct Registered {
  const Api* api;
  CustomOpDomain* domain;
  Registered* before;
};

Status* register_operators(const Api* api, SessionOptions* options) {
  static std::mutex mutex;
  static Registered* last = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  const Registered* found = last;
  while (found != nullptr && found->api != api) found = found->before;
  if (found == nullptr) {
    CustomOpDomain* domain = nullptr;
    PM_ORT_RETURN_IF_ERROR(make_domain(api, &domain));
    auto* made = new (std::nothrow) Registered{api, domain, last};
    if (made == nullptr) return CreateStatus(api, kOrtFail, "posemamba: out of memory");
    found = last = made;
  }
  return AddCustomOpDomain(api, options, found->domain);
}

}  // namespace
}  // namespace posemamba::ort

extern "C" PM_API posemamba::ort::Status* RegisterCustomOps(posemamba::ort::SessionOptions* options,
                                                            const posemamba::ort::ApiBase* base) {
  using posemamba::ort::kApiVersion;
  const posemamba::ort::Api* api = base->GetApi(kApiVersion);
  if (api == nullptr) {
    // Statuses come from the table we were just refused; the oldest one can always be had.
    return posemamba::ort::CreateStatus(base->GetApi(1), posemamba::ort::kOrtFail,
                                        "posemamba needs ONNX Runtime 1.18 or newer");
  }
  return posemamba::ort::register_operators(api, options);
}

// The execution providers this library has kernels for, comma-separated; for `pmexport doctor`.
extern "C" PM_API const char* pm_ort_providers(void) {
#ifdef POSEMAMBA_ORT_CUDA
  return "CPUExecutionProvider,CUDAExecutionProvider";
#else
  return "CPUExecutionProvider";
#endif
}
