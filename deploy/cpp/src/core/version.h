// What this library is, as CMake knows it.
#pragma once

namespace posemamba::runtime {

constexpr const char* kVersion = POSEMAMBA_RUNTIME_VERSION;

// Nothing of CUDA, TensorRT or ONNX Runtime is compiled in; these are the releases whose interfaces
// are declared here.
constexpr const char* kBuildInfo =
    "{\"version\": \"" POSEMAMBA_RUNTIME_VERSION "\", \"commit\": \"" POSEMAMBA_RUNTIME_COMMIT
    "\", \"compiler\": \"" POSEMAMBA_RUNTIME_COMPILER
    "\", \"onnxruntime\": \"1.16 and later\", \"tensorrt\": \"10.3 to 11.x, "
    "TensorRT-RTX 1.7 to 1.x\", "
    "\"cuda\": \"driver of CUDA 11.4 and later\"}";

}  // namespace posemamba::runtime
