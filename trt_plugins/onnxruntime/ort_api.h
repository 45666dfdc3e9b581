// The part of ONNX Runtime's C interface this library uses.
//
// ONNX Runtime's Python wheels hold no headers, and a laptop with nothing but pip must be able to
// build us, so the few entry points needed are declared here. The interface is append-only by
// contract: a function keeps its place in the OrtApi table for ever, and OrtCustomOp grows only at
// its end, guarded by its `version` field. `ort_api_check.cc` verifies every place and layout
// against the real header where one is given (-DPOSEMAMBA_ORT_INCLUDE_DIR=...), and every test that
// runs an op exercises them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace posemamba::ort {

// Version 17 (ONNX Runtime 1.17) brought KernelContext_ParallelFor and shape inference, version 18
// scratch memory that belongs to a stream; all are needed.
constexpr uint32_t kApiVersion = 18;
// What CustomOp below is declared up to; version 18 appended members that none of ours needs.
constexpr uint32_t kCustomOpVersion = 17;

struct Api;  // opaque: a table of function pointers
struct KernelInfo;
struct KernelContext;
struct ShapeInferContext;
struct SessionOptions;
struct CustomOpDomain;
struct Status;
struct Value;
struct TensorInfo;
struct MemoryInfo;
struct Allocator;

struct ApiBase {
  const Api* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

enum ErrorCode : int { kOrtFail = 1, kOrtInvalidArgument = 2 };
enum ElementType : int { kOrtFloat = 1, kOrtInt32 = 6, kOrtFloat16 = 10 };
enum Characteristic : int { kOrtRequired = 0, kOrtOptional = 1 };
enum AllocatorType : int { kOrtArenaAllocator = 1 };
enum MemType : int { kOrtMemTypeDefault = 0 };

// Member names follow ONNX Runtime's OrtCustomOp.
struct CustomOp {
  uint32_t version;
  void* (*CreateKernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*GetName)(const CustomOp*);
  const char* (*GetExecutionProviderType)(const CustomOp*);
  ElementType (*GetInputType)(const CustomOp*, size_t);
  size_t (*GetInputTypeCount)(const CustomOp*);
  ElementType (*GetOutputType)(const CustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const CustomOp*);
  void (*KernelCompute)(void*, KernelContext*);
  void (*KernelDestroy)(void*);
  Characteristic (*GetInputCharacteristic)(const CustomOp*, size_t);
  Characteristic (*GetOutputCharacteristic)(const CustomOp*, size_t);
  MemType (*GetInputMemoryType)(const CustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const CustomOp*);
  int (*GetVariadicInputHomogeneity)(const CustomOp*);
  int (*GetVariadicOutputMinArity)(const CustomOp*);
  int (*GetVariadicOutputHomogeneity)(const CustomOp*);
  Status* (*CreateKernelV2)(const CustomOp*, const Api*, const KernelInfo*, void**);
  Status* (*KernelComputeV2)(void*, KernelContext*);
  Status* (*InferOutputShapeFn)(const CustomOp*, ShapeInferContext*);
  int (*GetStartVersion)(const CustomOp*);
  int (*GetEndVersion)(const CustomOp*);
};

// Every function used: name, place in the table, return type, parameters.
#define POSEMAMBA_ORT_FUNCTIONS(X)                                                         \
  X(CreateStatus, 0, Status*, (ErrorCode, const char*))                                    \
  X(CreateCustomOpDomain, 26, Status*, (const char*, CustomOpDomain**))                    \
  X(CustomOpDomain_Add, 27, Status*, (CustomOpDomain*, const CustomOp*))                   \
  X(AddCustomOpDomain, 28, Status*, (SessionOptions*, CustomOpDomain*))                    \
  X(GetTensorMutableData, 51, Status*, (Value*, void**))                                   \
  X(SetTensorElementType, 58, Status*, (TensorInfo*, ElementType))                         \
  X(SetDimensions, 59, Status*, (TensorInfo*, const int64_t*, size_t))                     \
  X(GetTensorElementType, 60, Status*, (const TensorInfo*, ElementType*))                  \
  X(GetDimensionsCount, 61, Status*, (const TensorInfo*, size_t*))                         \
  X(GetDimensions, 62, Status*, (const TensorInfo*, int64_t*, size_t))                     \
  X(GetTensorTypeAndShape, 65, Status*, (const Value*, TensorInfo**))                      \
  X(CreateCpuMemoryInfo, 69, Status*, (AllocatorType, MemType, MemoryInfo**))              \
  X(MemoryInfoGetId, 72, Status*, (const MemoryInfo*, int*))                               \
  X(AllocatorAlloc, 75, Status*, (Allocator*, size_t, void**))                             \
  X(AllocatorFree, 76, Status*, (Allocator*, void*))                                       \
  X(KernelInfoGetAttribute_float, 85, Status*, (const KernelInfo*, const char*, float*))   \
  X(KernelInfoGetAttribute_int64, 86, Status*, (const KernelInfo*, const char*, int64_t*)) \
  X(KernelContext_GetInputCount, 88, Status*, (const KernelContext*, size_t*))             \
  X(KernelContext_GetOutputCount, 89, Status*, (const KernelContext*, size_t*))            \
  X(KernelContext_GetInput, 90, Status*, (const KernelContext*, size_t, const Value**))    \
  X(KernelContext_GetOutput, 91, Status*,                                                  \
    (KernelContext*, size_t, const int64_t*, size_t, Value**))                             \
  X(ReleaseStatus, 93, void, (Status*))                                                    \
  X(ReleaseMemoryInfo, 94, void, (MemoryInfo*))                                            \
  X(ReleaseTensorTypeAndShapeInfo, 99, void, (TensorInfo*))                                \
  X(ReleaseAllocator, 132, void, (Allocator*))                                             \
  X(KernelInfoGetAttributeArray_int64, 163, Status*,                                       \
    (const KernelInfo*, const char*, int64_t*, size_t*))                                   \
  X(KernelContext_GetGPUComputeStream, 193, Status*, (const KernelContext*, void**))       \
  X(GetTensorMemoryInfo, 194, Status*, (const Value*, const MemoryInfo**))                 \
  X(KernelContext_GetAllocator, 253, Status*,                                              \
    (const KernelContext*, const MemoryInfo*, Allocator**))                                \
  X(ShapeInferContext_GetInputTypeShape, 268, Status*,                                     \
    (const ShapeInferContext*, size_t, TensorInfo**))                                      \
  X(ShapeInferContext_SetOutputTypeShape, 270, Status*,                                    \
    (const ShapeInferContext*, size_t, const TensorInfo*))                                 \
  X(KernelContext_ParallelFor, 274, Status*,                                               \
    (const KernelContext*, void (*)(void*, size_t), size_t, size_t, void*))                \
  X(KernelContext_GetScratchBuffer, 277, Status*,                                          \
    (const KernelContext*, const MemoryInfo*, size_t, void**))

// One inline caller per function: ort::CreateStatus(api, code, message) and so on.
#define POSEMAMBA_ORT_CALLER(name, place, result, parameters)      \
  template <class... Args>                                         \
  inline result name(const Api* api, Args... args) {               \
    using Function = result(*) parameters;                         \
    return reinterpret_cast<const Function*>(api)[place](args...); \
  }
POSEMAMBA_ORT_FUNCTIONS(POSEMAMBA_ORT_CALLER)
#undef POSEMAMBA_ORT_CALLER

}  // namespace posemamba::ort
