// A libonnxruntime.so that plays every call the runtime makes, and every failure of it.
//
// STAND_IN_ORT holds words separated by ';':
//   fail=NAME        that function returns a status        version=1.32.0
//   batch=N frames=N fixed sizes of the session            max_frames=N  metadata (default 27)
//   meta.KEY=VALUE   another metadata entry                providers=cuda
//   message=TEXT     of the failing status                 code=N
//   input=NAME       another input name                    channels=N    of the input
//   poses=N          frames of the output
//   nan=1            the network gives NaN                 type=N        of the input
//   sleep=N          milliseconds a run takes at least
//   graphs=FILE      a line a run: the number of its CUDA graph
//   cuda=FILE        a line an option of the CUDA provider
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "onnxruntime/ort_api.h"
#include "stand_in_network.h"
#include "stand_in_words.h"

namespace {

namespace ort = posemamba::ort;

const char* find(const char* key) { return stand_in::find_word("STAND_IN_ORT", key); }

std::string word(const char* key, const char* otherwise) {
  const char* found = find(key);
  if (found == nullptr) return otherwise;
  const char* end = std::strchr(found, ';');
  return end == nullptr ? std::string(found) : std::string(found, end);
}

int64_t number(const char* key, int64_t otherwise) {
  const char* found = find(key);
  return found == nullptr ? otherwise : std::atoll(found);
}

char status_object;
ort::Status* failing(const char* name) {
  const char* wanted = find("fail");
  const size_t length = std::strlen(name);
  const bool fails = wanted != nullptr && std::strncmp(wanted, name, length) == 0 &&
                     (wanted[length] == ';' || wanted[length] == '\0');
  return fails ? reinterpret_cast<ort::Status*>(&status_object) : nullptr;
}

int environments = 0;
// The real one's provider options log, and fail where no environment holds a logger.
ort::Status* failing_without_environment(const char* name) {
  return environments > 0 ? failing(name) : reinterpret_cast<ort::Status*>(&status_object);
}

struct Tensor {
  float* data;
  int64_t shape[4];
};
struct Binding {
  const Tensor* input;
  const Tensor* output;
};

char object;  // whatever has no content
template <class T>
ort::Status* give(T** out, const char* name) {
  if (ort::Status* status = failing(name)) return status;
  *out = reinterpret_cast<T*>(&object);
  return nullptr;
}

char* copy(const std::string& text) { return strdup(text.c_str()); }

ort::Status* compute(const Tensor& input, const Tensor& output, const char* name) {
  if (ort::Status* status = failing(name)) return status;
  std::this_thread::sleep_for(std::chrono::milliseconds(number("sleep", 0)));
  stand_in::lift(input.data, input.shape[0], input.shape[1], output.data);
  if (find("nan") != nullptr) output.data[5] = NAN;
  return nullptr;
}

ort::ErrorCode GetErrorCode(const ort::Status*) {
  return static_cast<ort::ErrorCode>(number("code", 1));
}
const char* GetErrorMessage(const ort::Status*) {
  static std::string text;
  text = word("message", "stand-in\n  says no");
  return text.c_str();
}
ort::Status* CreateEnvWithCustomLogger(ort::LogFunction, void*, ort::Severity, const char*,
                                       ort::Env** out) {
  ++environments;
  return give(out, "CreateEnvWithCustomLogger");
}
ort::Status* CreateSession(const ort::Env*, const char*, const ort::SessionOptions*,
                           ort::Session** out) {
  return give(out, "CreateSession");
}
ort::Status* Run(ort::Session*, const ort::RunOptions*, const char* const*,
                 const ort::Value* const* inputs, size_t, const char* const*, size_t,
                 ort::Value** outputs) {
  return compute(*reinterpret_cast<const Tensor*>(inputs[0]),
                 *reinterpret_cast<const Tensor*>(outputs[0]), "Run");
}
ort::Status* CreateSessionOptions(ort::SessionOptions** out) {
  return give(out, "CreateSessionOptions");
}
ort::Status* SetSessionLogSeverityLevel(ort::SessionOptions*, int) {
  return failing("SetSessionLogSeverityLevel");
}
ort::Status* SetSessionGraphOptimizationLevel(ort::SessionOptions*, ort::OptimizationLevel) {
  return failing("SetSessionGraphOptimizationLevel");
}
ort::Status* SetIntraOpNumThreads(ort::SessionOptions*, int) {
  return failing("SetIntraOpNumThreads");
}
ort::Status* SessionGetInputCount(const ort::Session*, size_t* count) {
  *count = static_cast<size_t>(number("inputs", 1));
  return failing("SessionGetInputCount");
}
ort::Status* SessionGetOutputCount(const ort::Session*, size_t* count) {
  *count = 1;
  return failing("SessionGetOutputCount");
}
ort::Status* SessionGetInputTypeInfo(const ort::Session*, size_t, ort::TypeInfo** out) {
  static char input;
  *out = reinterpret_cast<ort::TypeInfo*>(&input);
  return failing("SessionGetInputTypeInfo");
}
ort::Status* SessionGetOutputTypeInfo(const ort::Session*, size_t, ort::TypeInfo** out) {
  return give(out, "SessionGetOutputTypeInfo");  // `object` stands for the output
}
ort::Status* SessionGetInputName(const ort::Session*, size_t, ort::Allocator*, char** name) {
  *name = copy(word("input", "keypoints_2d"));
  return failing("SessionGetInputName");
}
ort::Status* SessionGetOutputName(const ort::Session*, size_t, ort::Allocator*, char** name) {
  *name = copy(word("output", "poses_3d"));
  return failing("SessionGetOutputName");
}
ort::Status* CreateRunOptions(ort::RunOptions** out) {
  if (ort::Status* status = failing("CreateRunOptions")) return status;
  *out = reinterpret_cast<ort::RunOptions*>(new std::string("none"));
  return nullptr;
}
ort::Status* CreateTensorWithDataAsOrtValue(const ort::MemoryInfo*, void* data, size_t,
                                            const int64_t* shape, size_t rank, ort::ElementType,
                                            ort::Value** out) {
  if (ort::Status* status = failing("CreateTensorWithDataAsOrtValue")) return status;
  auto* tensor = new Tensor{static_cast<float*>(data), {}};
  std::memcpy(tensor->shape, shape, rank * sizeof(int64_t));
  *out = reinterpret_cast<ort::Value*>(tensor);
  return nullptr;
}
ort::Status* CastTypeInfoToTensorInfo(const ort::TypeInfo* type, const ort::TensorInfo** out) {
  *out = find("no_tensor") != nullptr ? nullptr : reinterpret_cast<const ort::TensorInfo*>(type);
  return failing("CastTypeInfoToTensorInfo");
}
ort::Status* GetTensorElementType(const ort::TensorInfo*, ort::ElementType* type) {
  *type = static_cast<ort::ElementType>(number("type", 1));
  return failing("GetTensorElementType");
}
ort::Status* GetDimensionsCount(const ort::TensorInfo*, size_t* count) {
  *count = static_cast<size_t>(number("rank", 4));
  return failing("GetDimensionsCount");
}
ort::Status* GetDimensions(const ort::TensorInfo* info, int64_t* shape, size_t) {
  const bool output = reinterpret_cast<const char*>(info) == &object;
  shape[0] = number("batch", -1);
  shape[1] = number("frames", -1);
  if (output) shape[1] = number("poses", shape[1]);
  shape[2] = number("joints", 17);
  shape[3] = output ? 3 : number("channels", 2);
  return failing("GetDimensions");
}
ort::Status* CreateMemoryInfo(const char*, ort::AllocatorType, int, ort::MemType,
                              ort::MemoryInfo** out) {
  return give(out, "CreateMemoryInfo");
}
ort::Status* AllocatorFree(ort::Allocator*, void* memory) {
  std::free(memory);
  return nullptr;
}
ort::Status* GetAllocatorWithDefaultOptions(ort::Allocator** out) {
  return give(out, "GetAllocatorWithDefaultOptions");
}
void ReleaseStatus(ort::Status*) {}
void ReleaseMemoryInfo(ort::MemoryInfo*) {}
void ReleaseSession(ort::Session*) {}
void ReleaseValue(ort::Value* value) { delete reinterpret_cast<Tensor*>(value); }
void ReleaseRunOptions(ort::RunOptions* options) { delete reinterpret_cast<std::string*>(options); }
void ReleaseTypeInfo(ort::TypeInfo*) {}
void ReleaseSessionOptions(ort::SessionOptions*) {}
ort::Status* SessionGetModelMetadata(const ort::Session*, ort::ModelMetadata** out) {
  return give(out, "SessionGetModelMetadata");
}
ort::Status* ModelMetadataLookupCustomMetadataMap(const ort::ModelMetadata*, ort::Allocator*,
                                                  const char* key, char** value) {
  *value = nullptr;
  const std::string name = std::strchr(key, '.') + 1;
  const std::string meta = "meta." + name;
  if (find(meta.c_str()) != nullptr) {
    *value = copy(word(meta.c_str(), ""));
  } else if (name == "max_frames" && number("max_frames", 27) > 0) {
    *value = copy(word("max_frames", "27"));
  }
  return failing("ModelMetadataLookupCustomMetadataMap");
}
void ReleaseModelMetadata(ort::ModelMetadata*) {}
ort::Status* GetAvailableProviders(char*** names, int* count) {
  static char cpu[] = "CPUExecutionProvider";
  static char cuda[] = "CUDAExecutionProvider";
  static char* both[] = {cpu, cuda};
  *names = both;
  *count = word("providers", "") == "cuda" ? 2 : 1;
  return failing("GetAvailableProviders");
}
ort::Status* ReleaseAvailableProviders(char**, int) { return nullptr; }
ort::Status* AddSessionConfigEntry(ort::SessionOptions*, const char*, const char*) {
  return failing("AddSessionConfigEntry");
}
ort::Status* RunWithBinding(ort::Session*, const ort::RunOptions* options,
                            const ort::IoBinding* binding) {
  if (find("graphs") != nullptr) {
    std::ofstream(word("graphs", ""), std::ios::app)
        << *reinterpret_cast<const std::string*>(options) << "\n";
  }
  const auto* bound = reinterpret_cast<const Binding*>(binding);
  return compute(*bound->input, *bound->output, "RunWithBinding");
}
ort::Status* CreateIoBinding(ort::Session*, ort::IoBinding** out) {
  if (ort::Status* status = failing("CreateIoBinding")) return status;
  *out = reinterpret_cast<ort::IoBinding*>(new Binding{});
  return nullptr;
}
void ReleaseIoBinding(ort::IoBinding* binding) { delete reinterpret_cast<Binding*>(binding); }
ort::Status* BindInput(ort::IoBinding* binding, const char*, const ort::Value* value) {
  reinterpret_cast<Binding*>(binding)->input = reinterpret_cast<const Tensor*>(value);
  return failing("BindInput");
}
ort::Status* BindOutput(ort::IoBinding* binding, const char*, const ort::Value* value) {
  reinterpret_cast<Binding*>(binding)->output = reinterpret_cast<const Tensor*>(value);
  return failing("BindOutput");
}
ort::Status* AddRunConfigEntry(ort::RunOptions* options, const char* key, const char* value) {
  if (std::strcmp(key, "gpu_graph_id") == 0) *reinterpret_cast<std::string*>(options) = value;
  return failing("AddRunConfigEntry");
}
ort::Status* SessionOptionsAppendExecutionProvider_CUDA_V2(ort::SessionOptions*,
                                                           const ort::CudaOptions*) {
  return failing("SessionOptionsAppendExecutionProvider_CUDA_V2");
}
ort::Status* CreateCUDAProviderOptions(ort::CudaOptions** out) {
  if (ort::Status* status = failing_without_environment("CreateCUDAProviderOptions")) return status;
  return give(out, "CreateCUDAProviderOptions");
}
ort::Status* UpdateCUDAProviderOptions(ort::CudaOptions*, const char* const* keys,
                                       const char* const* values, size_t count) {
  if (find("cuda") != nullptr) {
    std::ofstream told(word("cuda", ""), std::ios::app);
    for (size_t i = 0; i < count; ++i) told << keys[i] << "=" << values[i] << "\n";
  }
  return failing_without_environment("UpdateCUDAProviderOptions");
}
void ReleaseCUDAProviderOptions(ort::CudaOptions*) {}
ort::Status* RegisterCustomOpsLibrary_V2(ort::SessionOptions*, const char*) {
  return failing("RegisterCustomOpsLibrary_V2");
}

// A function nobody should call has no place: the process dies, and the test with it.
void* table[512] = {};

const ort::Api* GetApi(uint32_t) {
#define POSEMAMBA_PLACE(name, place, result, parameters) \
  table[place] = reinterpret_cast<void*>(&name);
  POSEMAMBA_ORT_SHARED_FUNCTIONS(POSEMAMBA_PLACE)
  POSEMAMBA_ORT_RUNTIME_FUNCTIONS(POSEMAMBA_PLACE)
#undef POSEMAMBA_PLACE
  return find("no_api") != nullptr ? nullptr : reinterpret_cast<const ort::Api*>(table);
}

const char* GetVersionString() {
  static std::string version;
  version = word("version", "1.32.0");
  return version.c_str();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const ort::ApiBase* OrtGetApiBase() {
  static const ort::ApiBase base{GetApi, GetVersionString};
  return &base;
}
