// Compile-time proof that ort_api.h agrees with ONNX Runtime's own header; built only where one is
// given.
#include <onnxruntime_c_api.h>

#include "ort_api.h"

namespace {
namespace ours = posemamba::ort;

#define CHECK_PLACE(name, place, result, parameters)               \
  static_assert(offsetof(OrtApi, name) == (place) * sizeof(void*), \
                #name " moved in the OrtApi table");
POSEMAMBA_ORT_SHARED_FUNCTIONS(CHECK_PLACE)
POSEMAMBA_ORT_OP_FUNCTIONS(CHECK_PLACE)
POSEMAMBA_ORT_RUNTIME_FUNCTIONS(CHECK_PLACE)

#define CHECK_MEMBER(name) \
  static_assert(offsetof(OrtCustomOp, name) == offsetof(ours::CustomOp, name), #name " moved");
CHECK_MEMBER(CreateKernel)
CHECK_MEMBER(GetInputTypeCount)
CHECK_MEMBER(KernelDestroy)
CHECK_MEMBER(GetInputMemoryType)
CHECK_MEMBER(CreateKernelV2)
CHECK_MEMBER(KernelComputeV2)
CHECK_MEMBER(InferOutputShapeFn)
CHECK_MEMBER(GetEndVersion)
CHECK_MEMBER(GetMayInplace)
CHECK_MEMBER(ReleaseMayInplace)
CHECK_MEMBER(ReleaseAliasMap)
static_assert(sizeof(ours::CustomOp) == offsetof(OrtCustomOp, ReleaseAliasMap) + sizeof(void*),
              "CustomOp must end where kCustomOpVersion says");

static_assert(int{ours::kOrtFail} == ORT_FAIL);
static_assert(int{ours::kOrtInvalidArgument} == ORT_INVALID_ARGUMENT);
static_assert(int{ours::kOrtNoSuchFile} == ORT_NO_SUCHFILE);
static_assert(int{ours::kOrtNoModel} == ORT_NO_MODEL);
static_assert(int{ours::kOrtInvalidProtobuf} == ORT_INVALID_PROTOBUF);
static_assert(int{ours::kOrtFloat} == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
static_assert(int{ours::kOrtInt32} == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
static_assert(int{ours::kOrtFloat16} == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
static_assert(int{ours::kOrtOptional} == INPUT_OUTPUT_OPTIONAL);
static_assert(int{ours::kOrtDeviceAllocator} == OrtDeviceAllocator);
static_assert(int{ours::kOrtArenaAllocator} == OrtArenaAllocator);
static_assert(int{ours::kOrtMemTypeDefault} == OrtMemTypeDefault);
static_assert(int{ours::kOrtFatal} == ORT_LOGGING_LEVEL_FATAL);
static_assert(int{ours::kOrtEnableAll} == ORT_ENABLE_ALL);
static_assert(ours::kApiVersion <= ORT_API_VERSION);
}  // namespace
