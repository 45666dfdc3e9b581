// The part of ONNX Runtime's C interface that is used here: by the operators in this folder, and by
// the runtime in deploy/cpp, which includes this file and links nothing of the folder.
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

// Of the operators. Version 17 (ONNX Runtime 1.17) brought KernelContext_ParallelFor and shape
// inference, version 18 scratch memory that belongs to a stream; all are needed.
constexpr uint32_t kApiVersion = 18;
// What CustomOp below is declared up to; version 18 appended which outputs may lie over an input.
constexpr uint32_t kCustomOpVersion = 18;
// Of the runtime. The newest function it uses is of version 14 (RegisterCustomOpsLibrary_V2); 16 is
// of 2023, and nothing older was tried.
constexpr uint32_t kRuntimeApiVersion = 16;

struct Api;  // opaque: a table of function pointers
struct Allocator;
struct CudaOptions;
struct CustomOpDomain;
struct Env;
struct IoBinding;
struct KernelContext;
struct KernelInfo;
struct MemoryInfo;
struct ModelMetadata;
struct RunOptions;
struct Session;
struct SessionOptions;
struct ShapeInferContext;
struct Status;
struct TensorInfo;
struct TypeInfo;
struct Value;

struct ApiBase {
  const Api* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

enum ErrorCode : int {
  kOrtFail = 1,
  kOrtInvalidArgument = 2,
  kOrtNoSuchFile = 3,
  kOrtNoModel = 4,
  kOrtInvalidProtobuf = 7
};
enum ElementType : int { kOrtFloat = 1, kOrtInt32 = 6, kOrtFloat16 = 10 };
enum Characteristic : int { kOrtRequired = 0, kOrtOptional = 1 };
enum AllocatorType : int { kOrtDeviceAllocator = 0, kOrtArenaAllocator = 1 };
enum MemType : int { kOrtMemTypeDefault = 0 };
enum Severity : int { kOrtFatal = 4 };
enum OptimizationLevel : int { kOrtEnableAll = 99 };

using LogFunction = void (*)(void* param, Severity severity, const char* category,
                             const char* log_id, const char* location, const char* message);

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
  size_t (*GetMayInplace)(int** inputs, int** outputs);
  void (*ReleaseMayInplace)(int* inputs, int* outputs);
  size_t (*GetAliasMap)(int** inputs, int** outputs);
  void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

// Every function used: name, place in the table, return type, parameters. By the operators and by
// the runtime,
#define POSEMAMBA_ORT_SHARED_FUNCTIONS(X)                                 \
  X(GetTensorElementType, 60, Status*, (const TensorInfo*, ElementType*)) \
  X(GetDimensionsCount, 61, Status*, (const TensorInfo*, size_t*))        \
  X(GetDimensions, 62, Status*, (const TensorInfo*, int64_t*, size_t))    \
  X(AllocatorFree, 76, Status*, (Allocator*, void*))                      \
  X(ReleaseStatus, 93, void, (Status*))                                   \
  X(ReleaseMemoryInfo, 94, void, (MemoryInfo*))
// by the operators alone,
#define POSEMAMBA_ORT_OP_FUNCTIONS(X)                                                      \
  X(CreateStatus, 0, Status*, (ErrorCode, const char*))                                    \
  X(CreateCustomOpDomain, 26, Status*, (const char*, CustomOpDomain**))                    \
  X(CustomOpDomain_Add, 27, Status*, (CustomOpDomain*, const CustomOp*))                   \
  X(AddCustomOpDomain, 28, Status*, (SessionOptions*, CustomOpDomain*))                    \
  X(GetTensorMutableData, 51, Status*, (Value*, void**))                                   \
  X(SetTensorElementType, 58, Status*, (TensorInfo*, ElementType))                         \
  X(SetDimensions, 59, Status*, (TensorInfo*, const int64_t*, size_t))                     \
  X(GetTensorTypeAndShape, 65, Status*, (const Value*, TensorInfo**))                      \
  X(CreateCpuMemoryInfo, 69, Status*, (AllocatorType, MemType, MemoryInfo**))              \
  X(MemoryInfoGetId, 72, Status*, (const MemoryInfo*, int*))                               \
  X(AllocatorAlloc, 75, Status*, (Allocator*, size_t, void**))                             \
  X(KernelInfoGetAttribute_float, 85, Status*, (const KernelInfo*, const char*, float*))   \
  X(KernelInfoGetAttribute_int64, 86, Status*, (const KernelInfo*, const char*, int64_t*)) \
  X(KernelContext_GetInputCount, 88, Status*, (const KernelContext*, size_t*))             \
  X(KernelContext_GetOutputCount, 89, Status*, (const KernelContext*, size_t*))            \
  X(KernelContext_GetInput, 90, Status*, (const KernelContext*, size_t, const Value**))    \
  X(KernelContext_GetOutput, 91, Status*,                                                  \
    (KernelContext*, size_t, const int64_t*, size_t, Value**))                             \
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
// and by the runtime alone.
#define POSEMAMBA_ORT_RUNTIME_FUNCTIONS(X)                                                     \
  X(GetErrorCode, 1, ErrorCode, (const Status*))                                               \
  X(GetErrorMessage, 2, const char*, (const Status*))                                          \
  X(CreateEnvWithCustomLogger, 4, Status*, (LogFunction, void*, Severity, const char*, Env**)) \
  X(CreateSession, 7, Status*, (const Env*, const char*, const SessionOptions*, Session**))    \
  X(Run, 9, Status*,                                                                           \
    (Session*, const RunOptions*, const char* const*, const Value* const*, size_t,             \
     const char* const*, size_t, Value**))                                                     \
  X(CreateSessionOptions, 10, Status*, (SessionOptions**))                                     \
  X(SetSessionLogSeverityLevel, 22, Status*, (SessionOptions*, int))                           \
  X(SetSessionGraphOptimizationLevel, 23, Status*, (SessionOptions*, OptimizationLevel))       \
  X(SetIntraOpNumThreads, 24, Status*, (SessionOptions*, int))                                 \
  X(SessionGetInputCount, 30, Status*, (const Session*, size_t*))                              \
  X(SessionGetOutputCount, 31, Status*, (const Session*, size_t*))                             \
  X(SessionGetInputTypeInfo, 33, Status*, (const Session*, size_t, TypeInfo**))                \
  X(SessionGetOutputTypeInfo, 34, Status*, (const Session*, size_t, TypeInfo**))               \
  X(SessionGetInputName, 36, Status*, (const Session*, size_t, Allocator*, char**))            \
  X(SessionGetOutputName, 37, Status*, (const Session*, size_t, Allocator*, char**))           \
  X(CreateRunOptions, 39, Status*, (RunOptions**))                                             \
  X(CreateTensorWithDataAsOrtValue, 49, Status*,                                               \
    (const MemoryInfo*, void*, size_t, const int64_t*, size_t, ElementType, Value**))          \
  X(CastTypeInfoToTensorInfo, 55, Status*, (const TypeInfo*, const TensorInfo**))              \
  X(CreateMemoryInfo, 68, Status*, (const char*, AllocatorType, int, MemType, MemoryInfo**))   \
  X(GetAllocatorWithDefaultOptions, 78, Status*, (Allocator**))                                \
  X(ReleaseSession, 95, void, (Session*))                                                      \
  X(ReleaseValue, 96, void, (Value*))                                                          \
  X(ReleaseRunOptions, 97, void, (RunOptions*))                                                \
  X(ReleaseTypeInfo, 98, void, (TypeInfo*))                                                    \
  X(ReleaseSessionOptions, 100, void, (SessionOptions*))                                       \
  X(SessionGetModelMetadata, 111, Status*, (const Session*, ModelMetadata**))                  \
  X(ModelMetadataLookupCustomMetadataMap, 116, Status*,                                        \
    (const ModelMetadata*, Allocator*, const char*, char**))                                   \
  X(ReleaseModelMetadata, 118, void, (ModelMetadata*))                                         \
  X(GetAvailableProviders, 125, Status*, (char***, int*))                                      \
  X(ReleaseAvailableProviders, 126, Status*, (char**, int))                                    \
  X(AddSessionConfigEntry, 130, Status*, (SessionOptions*, const char*, const char*))          \
  X(RunWithBinding, 133, Status*, (Session*, const RunOptions*, const IoBinding*))             \
  X(CreateIoBinding, 134, Status*, (Session*, IoBinding**))                                    \
  X(ReleaseIoBinding, 135, void, (IoBinding*))                                                 \
  X(BindInput, 136, Status*, (IoBinding*, const char*, const Value*))                          \
  X(BindOutput, 137, Status*, (IoBinding*, const char*, const Value*))                         \
  X(AddRunConfigEntry, 165, Status*, (RunOptions*, const char*, const char*))                  \
  X(SessionOptionsAppendExecutionProvider_CUDA_V2, 204, Status*,                               \
    (SessionOptions*, const CudaOptions*))                                                     \
  X(CreateCUDAProviderOptions, 205, Status*, (CudaOptions**))                                  \
  X(UpdateCUDAProviderOptions, 206, Status*,                                                   \
    (CudaOptions*, const char* const*, const char* const*, size_t))                            \
  X(ReleaseCUDAProviderOptions, 208, void, (CudaOptions*))                                     \
  X(RegisterCustomOpsLibrary_V2, 228, Status*, (SessionOptions*, const char*))

// One inline caller per function: ort::CreateStatus(api, code, message) and so on.
#define POSEMAMBA_ORT_CALLER(name, place, result, parameters)      \
  template <class... Args>                                         \
  inline result name(const Api* api, Args... args) {               \
    using Function = result(*) parameters;                         \
    return reinterpret_cast<const Function*>(api)[place](args...); \
  }
POSEMAMBA_ORT_SHARED_FUNCTIONS(POSEMAMBA_ORT_CALLER)
POSEMAMBA_ORT_OP_FUNCTIONS(POSEMAMBA_ORT_CALLER)
POSEMAMBA_ORT_RUNTIME_FUNCTIONS(POSEMAMBA_ORT_CALLER)
#undef POSEMAMBA_ORT_CALLER

}  // namespace posemamba::ort
