// ONNX Runtime with its CUDA provider: inputs and outputs bound to fixed memory of the GPU, page-
// locked memory on the host, and on request one CUDA graph for each size.
#include <algorithm>
#include <vector>

#include "backends/cuda.h"
#include "backends/ort_model.h"
#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr int64_t kMostClipsAtOnce = 32;
constexpr size_t kMostSizes = 256;
constexpr const char* kProvider = "CUDAExecutionProvider";
constexpr const char* kNoProvider =
    "install onnxruntime-gpu with a CUDA that fits the driver, or use backend onnxruntime-cpu";

OrtCudaOptions make_options(const OrtLibrary& library, const BackendRequest& request) {
  start(library);  // before the options: they log
  if (!library.has_provider(kProvider)) {
    fail(PM_MISSING, "ONNX Runtime %s in '%s' has no CUDA provider: %s", library.version().c_str(),
         library.path().c_str(), kNoProvider);
  }
  OrtCudaOptions options(library.api());
  const auto check = [&](ort::Status* status) {
    library.check(status, PM_MISSING, "the CUDA provider of ONNX Runtime does not start",
                  kNoProvider);
  };
  check(ort::CreateCUDAProviderOptions(library.api(), options.out()));
  const std::string device = std::to_string(request.device);
  const char* keys[] = {"device_id", "enable_cuda_graph", "use_tf32"};
  const char* values[] = {device.c_str(), request.cuda_graph ? "1" : "0", request.tf32 ? "1" : "0"};
  check(
      ort::UpdateCUDAProviderOptions(library.api(), options.get(), keys, values, std::size(keys)));
  return options;
}

class OrtCuda : public Backend {
 public:
  OrtCuda(const BackendRequest& request, std::shared_ptr<OrtLibrary> library)
      : gpu_(std::make_shared<Cuda>(request.device)),
        options_(make_options(*library, request)),
        onnx_(request, std::move(library), options_.get()),
        memory_(onnx_.memory("Cuda", request.device)),
        buffers_(gpu_) {
    model_ = onnx_.facts();
    facts_.name = "onnxruntime-cuda";
    facts_.library = onnx_.library().path();
    facts_.library_version = onnx_.library().version();
    facts_.op_library = onnx_.op_library();
    facts_.device = gpu_->name();
    facts_.cuda_graph = request.cuda_graph;
    facts_.tf32 = request.tf32;
  }

  float* input() override { return buffers_.host_input(); }
  const float* output() const override { return buffers_.host_output(); }
  int64_t max_batch() const override {
    return model_.sizes.batch_max > 0 ? std::min(model_.sizes.batch_max, kMostClipsAtOnce)
                                      : kMostClipsAtOnce;
  }

  // Room for the largest run at once: a captured graph keeps the addresses.
  void reserve(int64_t batch, int64_t frames) override {
    if (buffers_.reserve(std::max(max_batch() * model_.sizes.frames_max, batch * frames))) {
      bound_.clear();
    }
  }

  void run(int64_t batch, int64_t frames) override {
    Bound& bound = bound_for(batch, frames);
    choose_graph(bound);
    {
      const Cuda::Scope scope(*gpu_);
      buffers_.copy_in(batch * frames);
      buffers_.wait();  // ONNX Runtime computes in a stream of its own
    }
    onnx_.run_failed_if(
        ort::RunWithBinding(onnx_.api(), onnx_.session(), bound.options.get(), bound.binding.get()),
        batch, frames);
    const Cuda::Scope scope(*gpu_);
    buffers_.copy_out(batch * frames);
    buffers_.wait();
  }

 private:
  struct Bound {
    int64_t batch, frames;
    OrtValue input, output;
    OrtBinding binding;
    OrtRunOptions options;
    int64_t runs;
  };

  Bound& bound_for(int64_t batch, int64_t frames) {
    for (Bound& bound : bound_) {
      if (bound.batch == batch && bound.frames == frames) return bound;
    }
    if (bound_.size() == kMostSizes) bound_.clear();
    const ort::Api* api = onnx_.api();
    const auto check = [&](ort::Status* status) {
      onnx_.library().check(status, PM_BACKEND_FAILED, "memory of the GPU cannot be bound",
                            "free memory of the GPU");
    };
    Bound bound{batch,
                frames,
                onnx_.tensor(memory_, buffers_.input(), batch, frames, 2),
                onnx_.tensor(memory_, buffers_.output(), batch, frames, 3),
                OrtBinding(api),
                OrtRunOptions(api),
                0};
    check(ort::CreateIoBinding(api, onnx_.session(), bound.binding.out()));
    check(ort::BindInput(api, bound.binding.get(), kInputName, bound.input.get()));
    check(ort::BindOutput(api, bound.binding.get(), kOutputName, bound.output.get()));
    check(ort::CreateRunOptions(api, bound.options.out()));
    bound_.push_back(std::move(bound));
    return bound_.back();
  }

  // A size is captured when it comes again: a stream that begins passes every size up to its
  // window once, and capturing takes longer than many runs. Each size has a number of its own,
  // never one used before; -1 runs without a graph.
  void choose_graph(Bound& bound) {
    if (!facts_.cuda_graph || ++bound.runs > 2) return;
    const std::string id = bound.runs == 1 ? "-1" : std::to_string(++last_graph_);
    onnx_.library().check(
        ort::AddRunConfigEntry(onnx_.api(), bound.options.get(), "gpu_graph_id", id.c_str()),
        PM_BACKEND_FAILED, "no CUDA graph can be asked for", "open the model with cuda_graph off");
  }

  std::shared_ptr<Cuda> gpu_;
  OrtCudaOptions options_;
  OrtModel onnx_;
  OrtMemoryInfo memory_;
  CudaBuffers buffers_;
  std::vector<Bound> bound_;
  int last_graph_ = 0;
};

}  // namespace

std::unique_ptr<Backend> open_ort_cuda(const BackendRequest& request,
                                       std::shared_ptr<OrtLibrary> library) {
  return std::make_unique<OrtCuda>(request, std::move(library));
}

}  // namespace posemamba::runtime
