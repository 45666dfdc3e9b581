// ONNX Runtime on the CPU: tensors over our own memory, made once for each size.
#include <algorithm>
#include <vector>

#include "backends/ort_model.h"
#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr int64_t kMostClipsAtOnce = 32;
// A stream that fills up runs every length once; more sizes than this are made anew each time.
constexpr size_t kMostSizes = 1024;

class OrtCpu : public Backend {
 public:
  OrtCpu(const BackendRequest& request, std::shared_ptr<OrtLibrary> library)
      : onnx_(request, std::move(library), nullptr), memory_(onnx_.memory("Cpu", 0)) {
    model_ = onnx_.facts();
    facts_.name = "onnxruntime-cpu";
    facts_.library = onnx_.library().path();
    facts_.library_version = onnx_.library().version();
    facts_.op_library = onnx_.op_library();
    facts_.device = "cpu";
    room_for(max_batch(), std::max<int64_t>(model_.sizes.frames_max, 1));
  }

  float* input() override { return input_.data(); }
  const float* output() const override { return output_.data(); }
  int64_t max_batch() const override {
    return model_.sizes.batch_max > 0 ? model_.sizes.batch_max : kMostClipsAtOnce;
  }

  void reserve(int64_t batch, int64_t frames) override { room_for(batch, frames); }

  void run(int64_t batch, int64_t frames) override {
    const Bound& bound = bound_for(batch, frames);
    const char* inputs[] = {kInputName};
    const char* outputs[] = {kOutputName};
    const ort::Value* given[] = {bound.input.get()};
    ort::Value* wanted[] = {bound.output.get()};
    onnx_.run_failed_if(
        ort::Run(onnx_.api(), onnx_.session(), nullptr, inputs, given, 1, outputs, 1, wanted),
        batch, frames);
  }

 private:
  struct Bound {
    int64_t batch, frames;
    OrtValue input, output;
  };

  void room_for(int64_t batch, int64_t frames) {
    const auto positions = static_cast<size_t>(batch * frames);
    if (positions * kInputFloats <= input_.size()) return;
    bound_.clear();  // they point into what moves now
    input_.resize(positions * kInputFloats);
    output_.resize(positions * kOutputFloats);
  }

  const Bound& bound_for(int64_t batch, int64_t frames) {
    for (const Bound& bound : bound_) {
      if (bound.batch == batch && bound.frames == frames) return bound;
    }
    if (bound_.size() == kMostSizes) bound_.clear();
    bound_.push_back({batch, frames, onnx_.tensor(memory_, input_.data(), batch, frames, 2),
                      onnx_.tensor(memory_, output_.data(), batch, frames, 3)});
    return bound_.back();
  }

  OrtModel onnx_;
  OrtMemoryInfo memory_;
  std::vector<float> input_, output_;
  std::vector<Bound> bound_;
};

}  // namespace

std::unique_ptr<Backend> open_ort_cpu(const BackendRequest& request,
                                      std::shared_ptr<OrtLibrary> library) {
  return std::make_unique<OrtCpu>(request, std::move(library));
}

}  // namespace posemamba::runtime
