#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/trt_library.h"

namespace posemamba::runtime {

// An engine in TensorRT, its lean runtime or TensorRT-RTX. Throws Failure.
std::unique_ptr<Backend> open_tensorrt(const BackendRequest& request, const TrtFlavour& flavour);

// For "auto": TensorRT-RTX for its engines, else TensorRT; where that is not there and the engine
// is version-compatible, the lean runtime.
std::unique_ptr<Backend> open_tensorrt_of_engine(const BackendRequest& request);

}  // namespace posemamba::runtime
