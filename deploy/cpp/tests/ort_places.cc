// Compares src/backends/ort_api.h with ONNX Runtime's own header. Prints what differs.
#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdio>

#include "backends/ort_api.h"

namespace ours = posemamba::runtime::ort;

int main() {
  int wrong = 0;
  const auto expect = [&](const char* name, long found, long expected) {
    if (found == expected) return;
    std::printf("%s: the header has %ld, ort_api.h %ld\n", name, found, expected);
    ++wrong;
  };
#define POSEMAMBA_COMPARE(name, place, result, parameters) \
  expect(#name, static_cast<long>(offsetof(OrtApi, name) / sizeof(void*)), place);
  POSEMAMBA_ORT_RUNTIME_FUNCTIONS(POSEMAMBA_COMPARE)
#undef POSEMAMBA_COMPARE
  expect("ORT_NO_SUCHFILE", ORT_NO_SUCHFILE, ours::kNoSuchFile);
  expect("ORT_NO_MODEL", ORT_NO_MODEL, ours::kNoModel);
  expect("ORT_INVALID_PROTOBUF", ORT_INVALID_PROTOBUF, ours::kInvalidProtobuf);
  expect("float", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ours::kFloat);
  expect("OrtDeviceAllocator", OrtDeviceAllocator, ours::kDeviceAllocator);
  expect("OrtMemTypeDefault", OrtMemTypeDefault, ours::kMemTypeDefault);
  expect("ORT_LOGGING_LEVEL_FATAL", ORT_LOGGING_LEVEL_FATAL, ours::kFatal);
  expect("ORT_ENABLE_ALL", ORT_ENABLE_ALL, ours::kEnableAll);
  std::printf("ONNX Runtime's interface %d: %d differences\n", ORT_API_VERSION, wrong);
  return wrong == 0 ? 0 : 1;
}
