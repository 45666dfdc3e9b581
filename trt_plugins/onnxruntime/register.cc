// Entry point of libposemamba_ort.so: SessionOptions.register_custom_ops_library finds it by name.
#include "cross_selective_scan.h"
#include "op_row.h"
#include "selective_scan.h"

namespace posemamba::ort {
namespace {

Status* Register(const Api* api, SessionOptions* options) {
  // Session options keep only a reference, so the domain lives as long as the process, made once.
  static CustomOpDomain* domain = nullptr;
  static Status* failed = [api] {
    PM_ORT_RETURN_IF_ERROR(CreateCustomOpDomain(api, "posemamba", &domain));
    const CustomOp* const operators[] = {
        // A row for each operator and activation type.
        OpRow<CrossSelectiveScan, kOrtFloat>::Get(api),
        OpRow<CrossSelectiveScan, kOrtFloat16>::Get(api),
        OpRow<SelectiveScan, kOrtFloat>::Get(api),
        OpRow<SelectiveScan, kOrtFloat16>::Get(api),
    };
    for (const CustomOp* op : operators) {
      PM_ORT_RETURN_IF_ERROR(CustomOpDomain_Add(api, domain, op));
    }
    return static_cast<Status*>(nullptr);
  }();
  if (failed != nullptr) {
    return CreateStatus(api, kOrtFail, "posemamba: the operator domain could not be created");
  }
  return AddCustomOpDomain(api, options, domain);
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
                                        "posemamba needs ONNX Runtime 1.17 or newer");
  }
  return posemamba::ort::Register(api, options);
}
