// ONNX Runtime on the CPU: tensors over our own memory, made once for each size.
//
// One window is cut up inside its operators, by ONNX Runtime's threads. Of many windows each thread
// takes some whole: that costs a third less time of the processors, for nothing waits on the
// slowest part of each operator, and the poses are the same to the bit.
#include <algorithm>
#include <vector>

#include "backends/ort_model.h"
#include "core/failure.h"
#include "core/file.h"
#include "core/workers.h"

namespace posemamba::runtime {
namespace {

constexpr int64_t kMostClipsAtOnce = 32;
// A stream that fills up runs every length once; more sizes than this are made anew each time.
constexpr size_t kMostSizes = 1024;
// Frames of all windows from which threads take whole ones: less is lifted within milliseconds.
constexpr int64_t kManyFrames = 400;
// Frames a thread takes at once: its memory, and how evenly they share.
constexpr int64_t kFramesAtOnce = 486;

class OrtCpu : public Backend {
 public:
  OrtCpu(const BackendRequest& request, std::shared_ptr<OrtLibrary> library)
      : request_(request),
        opened_(file_identity(request.path)),
        library_(std::move(library)),
        onnx_(request, library_, nullptr),
        memory_(onnx_.memory("Cpu", 0)) {
    model_ = onnx_.facts();
    facts_.name = "onnxruntime-cpu";
    facts_.library = onnx_.library().path();
    facts_.library_version = onnx_.library().version();
    facts_.op_library = onnx_.op_library();
    facts_.device = "cpu";
    room_for(max_batch(), std::max<int64_t>(model_.sizes.frames_max, 1));
    threads_ = request.threads > 0 ? request.threads
                                   : static_cast<int>(std::thread::hardware_concurrency());
  }

  float* input() override { return input_.data(); }
  const float* output() const override { return output_.data(); }
  int64_t max_batch() const override {
    return model_.sizes.batch_max > 0 ? model_.sizes.batch_max : kMostClipsAtOnce;
  }

  void reserve(int64_t batch, int64_t frames) override { room_for(batch, frames); }

  void run(int64_t batch, int64_t frames) override {
    const bool any_batch = model_.sizes.batch_max == 0;
    const bool many = threads_ >= 2 && batch >= 2 && batch * frames >= kManyFrames && any_batch;
    if (!many || (workers_ == nullptr && !start_workers())) {
      run_part(onnx_, bound_for(0, batch, frames));
      return;
    }
    const int64_t share =
        std::min((batch + threads_ - 1) / threads_, std::max<int64_t>(kFramesAtOnce / frames, 1));
    parts_.clear();
    for (int64_t first = 0; first < batch; first += share) {
      parts_.push_back(bound_for(first, std::min(share, batch - first), frames));
    }
    workers_->run(static_cast<int64_t>(parts_.size()), [this](int64_t part) {
      run_part(*whole_windows_, parts_[static_cast<size_t>(part)]);
    });
  }

 private:
  struct Bound {
    int64_t first, batch, frames;
    std::shared_ptr<OrtValue> input, output;
  };

  // False where the file is not any more what was opened: from then on there is one session.
  bool start_workers() {
    if (file_identity(request_.path) != opened_) {
      threads_ = 1;
      return false;
    }
    // The names of what is asked for are those of the caller, who may be gone.
    BackendRequest alone = request_;
    alone.runtime_library = nullptr;
    alone.op_library = onnx_.op_library().empty() ? nullptr : onnx_.op_library().c_str();
    alone.threads = 1;
    whole_windows_ = std::make_unique<OrtModel>(alone, library_, nullptr);
    workers_ = std::make_unique<Workers>(std::min<int>(threads_, kMostClipsAtOnce) - 1);
    return true;
  }

  void run_part(const OrtModel& onnx, const Bound& bound) const {
    const char* inputs[] = {kInputName};
    const char* outputs[] = {kOutputName};
    const ort::Value* given[] = {bound.input->get()};
    ort::Value* wanted[] = {bound.output->get()};
    onnx.run_failed_if(
        ort::Run(onnx.api(), onnx.session(), nullptr, inputs, given, 1, outputs, 1, wanted),
        bound.batch, bound.frames);
  }

  void room_for(int64_t batch, int64_t frames) {
    const auto positions = static_cast<size_t>(batch * frames);
    if (positions * kInputFloats <= input_.size()) return;
    bound_.clear();  // they point into what moves now
    input_.resize(positions * kInputFloats);
    output_.resize(positions * kOutputFloats);
  }

  // Tensors over the clips from `first` on.
  Bound bound_for(int64_t first, int64_t batch, int64_t frames) {
    for (const Bound& bound : bound_) {
      if (bound.first == first && bound.batch == batch && bound.frames == frames) return bound;
    }
    if (bound_.size() == kMostSizes) bound_.clear();
    float* in = input_.data() + first * frames * kInputFloats;
    float* out = output_.data() + first * frames * kOutputFloats;
    bound_.push_back({first, batch, frames,
                      std::make_shared<OrtValue>(onnx_.tensor(memory_, in, batch, frames, 2)),
                      std::make_shared<OrtValue>(onnx_.tensor(memory_, out, batch, frames, 3))});
    return bound_.back();
  }

  BackendRequest request_;
  std::string opened_;  // before the session is made: a file that changes meanwhile is another
  std::shared_ptr<OrtLibrary> library_;
  OrtModel onnx_;
  OrtMemoryInfo memory_;
  std::vector<float> input_, output_;
  std::vector<Bound> bound_, parts_;
  int threads_ = 1;
  std::unique_ptr<OrtModel> whole_windows_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace

std::unique_ptr<Backend> open_ort_cpu(const BackendRequest& request,
                                      std::shared_ptr<OrtLibrary> library) {
  return std::make_unique<OrtCpu>(request, std::move(library));
}

}  // namespace posemamba::runtime
