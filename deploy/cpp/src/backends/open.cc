// Which back end: what was asked for, or for "auto" what the file and the machine say.
#include <cstring>
#include <utility>

#include "backends/backend.h"
#include "backends/cuda.h"
#include "backends/ort_model.h"
#include "backends/tensorrt.h"
#include "core/failure.h"
#include "core/file.h"

namespace posemamba::runtime {
namespace {

using Opened = std::unique_ptr<Backend>;

Opened open_cpu(const BackendRequest& request, std::shared_ptr<OrtLibrary> library) {
  if (request.tf32) {
    fail(PM_BAD_ARGUMENT, "tf32 is 1, and backend onnxruntime-cpu has none: leave it at 0");
  }
  return open_ort_cpu(request, std::move(library));
}

Opened ort_cpu(const BackendRequest& request) {
  if (request.cuda_graph) {
    fail(PM_BAD_ARGUMENT, "cuda_graph is 1, and backend onnxruntime-cpu has none: leave it at 0");
  }
  return open_cpu(request, std::make_shared<OrtLibrary>(request.runtime_library));
}

Opened ort_cuda(const BackendRequest& request) {
  return open_ort_cuda(request, std::make_shared<OrtLibrary>(request.runtime_library));
}

// The CUDA provider where both it and a GPU are there. A GPU that is there and fails is no reason
// to compute elsewhere without a word.
Opened ort_best(const BackendRequest& request) {
  auto library = std::make_shared<OrtLibrary>(request.runtime_library);
  std::string why = "this ONNX Runtime has no CUDA provider";
  if (library->has_provider("CUDAExecutionProvider")) {
    try {
      const Cuda gpu(request.device);
      why.clear();
    } catch (const Failure& failure) {
      if (failure.code != PM_MISSING) throw;
      why = failure.sentence;
    }
  }
  Opened backend = why.empty() ? open_ort_cuda(request, library) : open_cpu(request, library);
  backend->facts().why = why.empty() ? "the fastest of ONNX Runtime's providers here" : why;
  return backend;
}

Opened trt(const BackendRequest& request) { return open_tensorrt(request, kTensorRt); }
Opened trt_lean(const BackendRequest& request) { return open_tensorrt(request, kTensorRtLean); }
Opened trt_rtx(const BackendRequest& request) { return open_tensorrt(request, kTensorRtRtx); }

struct Choice {
  const char* name;
  FileKind kind;
  Opened (*open)(const BackendRequest& request);
};
constexpr const char* kAuto = "auto";
constexpr Choice kChoices[] = {
    {kAuto, FileKind::kOnnx, ort_best},
    {kAuto, FileKind::kEngine, open_tensorrt_of_engine},
    {"onnxruntime-cpu", FileKind::kOnnx, ort_cpu},
    {"onnxruntime-cuda", FileKind::kOnnx, ort_cuda},
    {"tensorrt", FileKind::kEngine, trt},
    {"tensorrt-lean", FileKind::kEngine, trt_lean},
    {"tensorrt-rtx", FileKind::kEngine, trt_rtx},
};

const Choice& choose(const char* name, FileKind kind, const std::string& path) {
  std::string known;
  const Choice* other = nullptr;
  for (const Choice& choice : kChoices) {
    if (std::strcmp(choice.name, name) == 0) {
      if (choice.kind == kind) return choice;
      other = &choice;
    }
    if (known.find(choice.name) == std::string::npos) {
      known += (known.empty() ? "" : ", ") + std::string(choice.name);
    }
  }
  if (other == nullptr) {
    fail(PM_BAD_ARGUMENT, "backend is '%.40s': use one of %s", name, known.c_str());
  }
  fail(PM_BAD_ARGUMENT, "'%s' is %s, which backend %s does not run: give %s, or backend auto",
       path.c_str(), kind == FileKind::kOnnx ? "no TensorRT engine" : "an engine", name,
       kind == FileKind::kOnnx ? "the engine" : "the ONNX model");
}

// What a fallback may mend: something is not there, or does not fit. Not a broken model.
bool may_fall_back(const Failure& failure) {
  return failure.code == PM_MISSING || failure.code == PM_MISMATCH ||
         failure.code == PM_BACKEND_FAILED;
}

void check_options(const pm_lifter_options& options) {
  constexpr int kMostThreads = 1024;
  if (options.threads < 0 || options.threads > kMostThreads) {
    fail(PM_BAD_ARGUMENT, "threads is %d: give 0 (ONNX Runtime's choice) to %d", options.threads,
         kMostThreads);
  }
  if (options.device < 0) fail(PM_BAD_ARGUMENT, "device is %d: give 0 or more", options.device);
  for (const int flag : {options.cuda_graph, options.allow_fallback, options.tf32}) {
    if (flag != 0 && flag != 1) {
      fail(PM_BAD_ARGUMENT, "cuda_graph, allow_fallback or tf32 is %d: give 0 or 1", flag);
    }
  }
}

}  // namespace

void check_channels(const std::string& path, int64_t channels) {
  if (channels < 0 || channels == kInputChannels) return;
  fail(PM_BAD_MODEL,
       "'%s' reads %lld numbers of each joint, this library gives it x and y alone: a network with "
       "a confidence or other channels runs in ONNX Runtime or TensorRT itself",
       path.c_str(), static_cast<long long>(channels));
}

void check_pairing(const std::string& path, const int64_t (&input)[2], const int64_t (&output)[2]) {
  for (int i = 0; i < 2; ++i) {
    if (output[i] < 0 || output[i] == input[i]) continue;
    const char* what = i == 0 ? "batch" : "frames";
    const std::string given = input[i] < 0 ? "any" : std::to_string(input[i]);
    fail(PM_BAD_MODEL,
         "'%s' takes clips of %s %s and gives %lld: a model is needed that gives a pose for each "
         "frame of each clip",
         path.c_str(), what, given.c_str(), static_cast<long long>(output[i]));
  }
}

std::unique_ptr<Backend> open_backend(const std::string& path, const pm_lifter_options& options) {
  check_options(options);
  const char* name = options.backend == nullptr ? kAuto : options.backend;
  const FileKind kind = file_kind(path);
  const Choice& choice = choose(name, kind, path);
  BackendRequest request{path,
                         options.runtime_library,
                         options.op_library,
                         options.device,
                         options.threads,
                         options.cuda_graph == 1,
                         options.tf32 == 1};
  if (kind == FileKind::kEngine && request.tf32) {
    fail(PM_BAD_ARGUMENT,
         "tf32 is 1, and '%s' is an engine, which was told when it was built: leave it at 0, or "
         "build with 'pmexport trt --tf32'",
         path.c_str());
  }
  if (options.allow_fallback == 0 || kind == FileKind::kEngine) return choice.open(request);
  try {
    return choice.open(request);
  } catch (const Failure& failure) {
    if (!may_fall_back(failure) || choice.open == ort_cpu) throw;
    request.cuda_graph = false;
    request.tf32 = false;
    Opened backend = ort_cpu(request);
    backend->facts().why = "fallback from " + std::string(name) + ": " + failure.sentence;
    return backend;
  }
}

}  // namespace posemamba::runtime
