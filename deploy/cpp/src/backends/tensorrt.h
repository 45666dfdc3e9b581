#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/trt_library.h"

namespace posemamba::runtime {

// An engine in TensorRT, its lean runtime or TensorRT-RTX. Throws Failure.
std::unique_ptr<Backend> open_tensorrt(const BackendRequest& request, const TrtFlavour& flavour);

// The flavour an engine's sidecar asks for; TensorRT where there is none.
const TrtFlavour& flavour_of_engine(const std::string& path);

}  // namespace posemamba::runtime
