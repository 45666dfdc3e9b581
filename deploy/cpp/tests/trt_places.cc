// Compares src/backends/trt_abi.h with TensorRT's own headers: the place of each virtual function,
// of the implementation in the public classes, and the enumerators. Prints what differs.
#include <NvInferRuntime.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "backends/trt_abi.h"

namespace {

namespace trt = posemamba::runtime::trt;
namespace nv = nvinfer1;

int wrong = 0;

void expect(const char* name, long found, long expected) {
  if (found == expected) return;
  std::printf("%s: the header has %ld, trt_abi.h %ld\n", name, found, expected);
  ++wrong;
}

// The place of a virtual function, from a pointer to it (Itanium C++ ABI: its offset in the table
// plus 1; on 64-bit Arm the offset itself).
template <class Function>
long place(Function function) {
  uintptr_t word = 0;
  std::memcpy(&word, &function, sizeof word);
#if !defined(__aarch64__)
  word -= 1;
#endif
  return static_cast<long>(word / sizeof(void*));
}

template <class Base>
struct Probe : Base {
  static long implementation() {
    auto member = &Probe::mImpl;
    long offset = 0;
    std::memcpy(&offset, &member, sizeof offset);
    return offset;
  }
};

}  // namespace

int main() {
  const trt::Places& p = NV_TENSORRT_MAJOR >= 11 ? trt::kPlaces11 : trt::kPlaces10;
  using Deserialize = nv::ICudaEngine* (nv::apiv::VRuntime::*)(const void*, size_t) noexcept;
  const Deserialize deserialize = &nv::apiv::VRuntime::deserializeCudaEngine;
  using Creator = nv::IPluginCreatorInterface* (nv::IPluginRegistry::*)(const char*, const char*,
                                                                        const char*) noexcept;
  const Creator creator = &nv::IPluginRegistry::getCreator;
  using Context = nv::IExecutionContext* (nv::apiv::VCudaEngine::*)(
      nv::ExecutionContextAllocationStrategy) noexcept;
  const Context context = &nv::apiv::VCudaEngine::createExecutionContext;
#define PLACE(field, type, function) expect(#field, place(&nv::type::function), p.field)
  PLACE(registry_load_library, IPluginRegistry, loadLibrary);
  expect("registry_get_creator", place(creator), p.registry_get_creator);
  expect("runtime_deserialize", place(deserialize), p.runtime_deserialize);
  PLACE(runtime_set_host_code_allowed, apiv::VRuntime, setEngineHostCodeAllowed);
  expect("engine_create_context", place(context), p.engine_create_context);
  PLACE(engine_profile_count, apiv::VCudaEngine, getNbOptimizationProfiles);
  PLACE(engine_shape, apiv::VCudaEngine, getTensorShape);
  PLACE(engine_type, apiv::VCudaEngine, getTensorDataType);
  PLACE(engine_mode, apiv::VCudaEngine, getTensorIOMode);
  PLACE(engine_profile_shape, apiv::VCudaEngine, getProfileShape);
  PLACE(engine_tensor_count, apiv::VCudaEngine, getNbIOTensors);
  PLACE(engine_tensor_name, apiv::VCudaEngine, getIOTensorName);
  PLACE(context_set_profile, apiv::VExecutionContext, setOptimizationProfileAsync);
  PLACE(context_set_input_shape, apiv::VExecutionContext, setInputShape);
  PLACE(context_set_address, apiv::VExecutionContext, setTensorAddress);
  PLACE(context_enqueue, apiv::VExecutionContext, enqueueV3);
  PLACE(logger_log, ILogger, log);
#undef PLACE
  expect("implementation of IRuntime", Probe<nv::IRuntime>::implementation(), sizeof(void*));
  expect("implementation of ICudaEngine", Probe<nv::ICudaEngine>::implementation(), sizeof(void*));
  expect("implementation of IExecutionContext", Probe<nv::IExecutionContext>::implementation(),
         sizeof(void*));
  expect("Dims", sizeof(nv::Dims), sizeof(trt::Dims));
  expect("kINPUT", static_cast<long>(nv::TensorIOMode::kINPUT), trt::kInput);
  expect("kOUTPUT", static_cast<long>(nv::TensorIOMode::kOUTPUT), trt::kOutput);
  expect("kFLOAT", static_cast<long>(nv::DataType::kFLOAT), trt::kFloat);
  expect("kMIN", static_cast<long>(nv::OptProfileSelector::kMIN), trt::kMin);
  expect("kMAX", static_cast<long>(nv::OptProfileSelector::kMAX), trt::kMax);
  expect("kERROR", static_cast<long>(nv::ILogger::Severity::kERROR), 1);
  expect("kSTATIC", static_cast<long>(nv::ExecutionContextAllocationStrategy::kSTATIC), 0);
  std::printf("TensorRT %d.%d: %d differences\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, wrong);
  return wrong == 0 ? 0 : 1;
}
