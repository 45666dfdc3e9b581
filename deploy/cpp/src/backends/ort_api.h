// The part of ONNX Runtime's C interface the runtime calls; trt_plugins/onnxruntime/ort_api.h is
// that of the operators. ONNX Runtime's wheels hold no headers, and the interface is append-only by
// contract: a function keeps its place in the table for ever. tests/ort_places.cc verifies each
// place against the real header where one is given.
#pragma once

#include <cstddef>
#include <cstdint>

namespace posemamba::runtime::ort {

// The newest function used is of version 14 (RegisterCustomOpsLibrary_V2). 16 is asked for: the
// release is from 2023, and nothing older was tried.
constexpr uint32_t kApiVersion = 16;

struct Api;  // opaque: a table of function pointers
struct Status;
struct Env;
struct Session;
struct SessionOptions;
struct RunOptions;
struct Value;
struct MemoryInfo;
struct Allocator;
struct TypeInfo;
struct TensorInfo;
struct ModelMetadata;
struct IoBinding;
struct CudaOptions;

struct ApiBase {
  const Api* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

enum ErrorCode : int {
  kNoSuchFile = 3,
  kNoModel = 4,
  kInvalidProtobuf = 7,
  kNotImplemented = 9,
  kInvalidGraph = 10
};
enum ElementType : int { kFloat = 1 };
enum AllocatorType : int { kDeviceAllocator = 0 };
enum MemType : int { kMemTypeDefault = 0 };
enum Severity : int { kFatal = 4 };
enum OptimizationLevel : int { kEnableAll = 99 };

using LogFunction = void (*)(void* param, Severity severity, const char* category,
                             const char* log_id, const char* location, const char* message);

// Every function used: name, place in the table, return type, parameters.
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
  X(GetTensorElementType, 60, Status*, (const TensorInfo*, ElementType*))                      \
  X(GetDimensionsCount, 61, Status*, (const TensorInfo*, size_t*))                             \
  X(GetDimensions, 62, Status*, (const TensorInfo*, int64_t*, size_t))                         \
  X(CreateMemoryInfo, 68, Status*, (const char*, AllocatorType, int, MemType, MemoryInfo**))   \
  X(AllocatorFree, 76, Status*, (Allocator*, void*))                                           \
  X(GetAllocatorWithDefaultOptions, 78, Status*, (Allocator**))                                \
  X(ReleaseEnv, 92, void, (Env*))                                                              \
  X(ReleaseStatus, 93, void, (Status*))                                                        \
  X(ReleaseMemoryInfo, 94, void, (MemoryInfo*))                                                \
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

// One inline caller per function: ort::Run(api, session, ...) and so on.
#define POSEMAMBA_ORT_CALLER(name, place, result, parameters)      \
  template <class... Args>                                         \
  inline result name(const Api* api, Args... args) {               \
    using Function = result(*) parameters;                         \
    return reinterpret_cast<const Function*>(api)[place](args...); \
  }
POSEMAMBA_ORT_RUNTIME_FUNCTIONS(POSEMAMBA_ORT_CALLER)
#undef POSEMAMBA_ORT_CALLER

}  // namespace posemamba::runtime::ort
