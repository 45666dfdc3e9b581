#include "backends/tensorrt.h"

#include <algorithm>
#include <cstring>

#include "backends/cuda.h"
#include "core/failure.h"
#include "core/file.h"
#include "core/metadata.h"

namespace posemamba::runtime {
namespace {

constexpr const char* kPluginLibrary = "libposemamba_trt.so";
constexpr const char* kInput = "keypoints_2d";
constexpr const char* kOutput = "poses_3d";
constexpr const char* kBuildAgain =
    "build it again on this machine with 'pmexport trt --onnx M.onnx -o E.engine'";
constexpr int64_t kMostClipsAtOnce = 32;

struct Deleter {
  void operator()(const void* object) const { trt::destroy(object); }
};
using Object = std::unique_ptr<const void, Deleter>;

// A plan and its sidecar, judged before TensorRT sees them.
struct PlanFile {
  std::vector<char> bytes;
  bool sidecar = false;
  EngineFacts facts;
};

PlanFile read_plan(const std::string& path, const TrtFlavour& flavour, ModelFacts& model) {
  PlanFile plan;
  plan.bytes = read_file(path);
  constexpr size_t kShortest = 64;
  const std::string start(plan.bytes.data(), std::min<size_t>(plan.bytes.size(), 4));
  if (start != flavour.plan_start && (start == kPlanStart || start == kRtxPlanStart)) {
    fail(PM_MISMATCH, "'%s' is an engine of %s, which %s cannot run: use backend %s, or %s",
         path.c_str(), start == kPlanStart ? "TensorRT" : "TensorRT-RTX", flavour.title,
         start == kPlanStart ? "tensorrt" : "tensorrt-rtx", kBuildAgain);
  }
  if (plan.bytes.size() < kShortest || start != flavour.plan_start) {
    fail(PM_BAD_MODEL, "'%s' is no TensorRT engine, or is damaged: %s", path.c_str(), kBuildAgain);
  }
  const std::string sidecar = path + ".json";
  if (!file_exists(sidecar)) return plan;
  const std::vector<char> text = read_file(sidecar);
  plan.sidecar = true;
  plan.facts = read_sidecar(sidecar, {text.data(), text.size()}, model);
  const std::string found = sha256(plan.bytes.data(), plan.bytes.size());
  if (found != plan.facts.sha256) {
    fail(PM_MISMATCH,
         "'%s' is not the file its sidecar describes (SHA-256 %.12s..., expected %.12s...): copy "
         "both again, or %s",
         path.c_str(), found.c_str(), plan.facts.sha256.c_str(), kBuildAgain);
  }
  return plan;
}

// Whether the engine can run in this library on this GPU, as far as its sidecar says.
void check_library(const std::string& path, const PlanFile& plan, const TrtLibrary& library) {
  const EngineFacts& facts = plan.facts;
  if (!plan.sidecar) return;
  if (facts.plugin_version != kPluginVersion && facts.plugin_version != kSecondPluginVersion) {
    fail(PM_MISMATCH,
         "'%s' needs version %s of the plugin, this library knows versions %s and %s: %s",
         path.c_str(), facts.plugin_version.c_str(), kPluginVersion, kSecondPluginVersion,
         kBuildAgain);
  }
  const bool lean = &library.flavour() == &kTensorRtLean;
  if (lean && !facts.version_compatible) {
    fail(PM_MISMATCH,
         "'%s' is not version-compatible, as the lean runtime needs: build it again with "
         "--version-compat, or use backend tensorrt",
         path.c_str());
  }
  const std::string& here = library.version();
  const bool same = facts.tensorrt.compare(0, here.size(), here) == 0;
  if (!same && !facts.version_compatible) {
    fail(PM_MISMATCH, "'%s' was built by TensorRT %s, '%s' is %s: %s", path.c_str(),
         facts.tensorrt.c_str(), library.path().c_str(), here.c_str(), kBuildAgain);
  }
}

void check_gpu(const std::string& path, const PlanFile& plan, const Cuda& gpu) {
  const std::vector<std::string>& targets = plan.facts.targets;
  if (targets.empty() || plan.facts.hardware_compatible) return;
  const std::string here = text("sm%d", gpu.architecture());
  if (std::find(targets.begin(), targets.end(), here) != targets.end()) return;
  std::string list;
  for (const std::string& target : targets) list += (list.empty() ? "" : ", ") + target;
  fail(PM_MISMATCH, "'%s' was built for %s, the GPU '%s' is %s: %s", path.c_str(), list.c_str(),
       gpu.name().c_str(), here.c_str(), kBuildAgain);
}

class TensorRt : public Backend {
 public:
  TensorRt(const BackendRequest& request, const TrtFlavour& flavour)
      : plan_(read_plan(request.path, flavour, model_)),
        library_(flavour, request.runtime_library, std::atoi(plan_.facts.tensorrt.c_str())),
        places_(library_.places()) {
    model_.path = request.path;
    check_library(request.path, plan_, library_);
    load_plugins(request);
    gpu_ = std::make_shared<Cuda>(request.device);
    check_gpu(request.path, plan_, *gpu_);
    const Cuda::Scope scope(*gpu_);
    runtime_.reset(library_.create_runtime());
    deserialize();
    choose_profile();
    create_context();
    buffers_ = std::make_unique<CudaBuffers>(gpu_);
    facts_.name = flavour.backend;
    facts_.library = library_.path();
    facts_.library_version = library_.version();
    facts_.device = gpu_->name();
    facts_.cuda_graph = request.cuda_graph;
    plan_.bytes = {};
  }

  ~TensorRt() override {
    try {
      const Cuda::Scope scope(*gpu_);
      forget_graph();
      buffers_.reset();
      context_.reset();
      engine_.reset();
      runtime_.reset();
    } catch (const Failure&) {
      // The driver is gone, and the engine's memory with it.
    }
  }

  int64_t max_batch() const override { return std::min(model_.sizes.batch_max, kMostClipsAtOnce); }
  float* input() override { return buffers_->host_input(); }
  const float* output() const override { return buffers_->host_output(); }

  void reserve(int64_t batch, int64_t frames) override {
    const int64_t most = std::max(max_batch() * model_.sizes.frames_max, batch * frames);
    if (!buffers_->reserve(most)) return;
    const Cuda::Scope scope(*gpu_);
    forget_graph();
    check(set_address(kInput, buffers_->input()) && set_address(kOutput, buffers_->output()),
          "does not take its tensors' addresses");
  }

  void run(int64_t batch, int64_t frames) override {
    const Cuda::Scope scope(*gpu_);
    const bool same = batch == batch_ && frames == frames_;
    if (!same) set_shape(batch, frames);
    buffers_->copy_in(batch * frames);
    if (facts_.cuda_graph && same) {
      if (graph_ == nullptr) capture();
      gpu_->check(gpu_->cuGraphLaunch(graph_, buffers_->stream()), "cuGraphLaunch");
    } else {
      check(enqueue(), "failed to run");
    }
    buffers_->copy_out(batch * frames);
    buffers_->wait();
  }

 private:
  void check(bool done, const char* what) const {
    if (done) return;
    fail(PM_BACKEND_FAILED, "'%s' %s (%s %s: %s): free memory of the GPU, or %s",
         model_.path.c_str(), what, library_.flavour().title, library_.version().c_str(),
         TrtLibrary::last_message().c_str(), kBuildAgain);
  }

  // An engine without a sidecar may need no plugin; TensorRT says so if it does.
  void load_plugins(const BackendRequest& request) {
    facts_.op_library = find_op_library(request.op_library, kPluginLibrary);
    if (!facts_.op_library.empty()) {
      library_.load_plugins(facts_.op_library);
    } else if (plan_.sidecar && !library_.has_plugins()) {
      fail(PM_MISSING,
           "'%s' needs the plugins of %s, which was not found; looked in %s: name its "
           "folder with POSEMAMBA_LIBRARY_PATH or the file with op_library",
           request.path.c_str(), kPluginLibrary, places_searched().c_str());
    }
  }

  void deserialize() {
    const void* runtime = trt::implementation(runtime_.get());
    if (plan_.facts.version_compatible) {
      trt::call<void>(runtime, places_.runtime_set_host_code_allowed, true);
    }
    TrtLibrary::forget_message();
    engine_.reset(trt::call<const void*>(runtime, places_.runtime_deserialize,
                                         static_cast<const void*>(plan_.bytes.data()),
                                         plan_.bytes.size()));
    if (engine_) return;
    const std::string reason = TrtLibrary::last_message();
    if (facts_.op_library.empty() && reason.find("posemamba") != std::string::npos) {
      fail(PM_MISSING,
           "'%s' needs the plugins of %s, which was not found (%s); looked in %s: name its "
           "folder with POSEMAMBA_LIBRARY_PATH or the file with op_library",
           model_.path.c_str(), kPluginLibrary, reason.c_str(), places_searched().c_str());
    }
    fail(PM_MISMATCH, "'%s' cannot be opened by %s %s (%s): %s", model_.path.c_str(),
         library_.flavour().title, library_.version().c_str(), reason.c_str(), kBuildAgain);
  }

  const void* engine() const { return trt::implementation(engine_.get()); }
  const void* context() const { return trt::implementation(context_.get()); }

  trt::Dims profile_shape(int profile, trt::Selector which) const {
    return trt::call<trt::Dims>(engine(), places_.engine_profile_shape, kInput,
                                static_cast<int32_t>(profile), static_cast<int32_t>(which));
  }

  // Batch and frames of a tensor, -1 where any, go to `sizes`.
  void check_tensor(const char* name, trt::Mode mode, int64_t channels, int64_t (&sizes)[2]) const {
    const auto is = trt::call<int32_t>(engine(), places_.engine_mode, name);
    const auto type = trt::call<int32_t>(engine(), places_.engine_type, name);
    const auto shape = trt::call<trt::Dims>(engine(), places_.engine_shape, name);
    if (mode == trt::kInput && shape.rank == 4) check_channels(model_.path, shape.d[3]);
    if (is == mode && type == trt::kFloat && shape.rank == 4 && shape.d[2] == kJointCount &&
        shape.d[3] == channels) {
      std::copy(shape.d, shape.d + 2, sizes);
      return;
    }
    fail(PM_BAD_MODEL,
         "'%s' has no %s '%s' of type float and shape [batch][frames][17][%lld]: give an engine of "
         "a PoseMamba model",
         model_.path.c_str(), mode == trt::kInput ? "input" : "output", name,
         static_cast<long long>(channels));
  }

  // Of several profiles the one with the longest clips, then the largest batch.
  void choose_profile() {
    const auto tensors = trt::call<int32_t>(engine(), places_.engine_tensor_count);
    if (tensors != 2) {
      fail(PM_BAD_MODEL, "'%s' has %d tensors, a PoseMamba engine an input and an output: %s",
           model_.path.c_str(), tensors, kBuildAgain);
    }
    int64_t taken[2] = {};
    int64_t given[2] = {};
    check_tensor(kInput, trt::kInput, kInputChannels, taken);
    check_tensor(kOutput, trt::kOutput, 3, given);
    check_pairing(model_.path, taken, given);
    const auto count = trt::call<int32_t>(engine(), places_.engine_profile_count);
    Sizes& sizes = model_.sizes;
    sizes.frames_max = sizes.batch_max = 0;
    for (int i = 0; i < count; ++i) {
      const trt::Dims low = profile_shape(i, trt::kMin);
      const trt::Dims high = profile_shape(i, trt::kMax);
      if (high.rank != 4 || low.rank != 4 || low.d[0] < 1 || low.d[1] < 1) continue;
      const bool better = high.d[1] > sizes.frames_max ||
                          (high.d[1] == sizes.frames_max && high.d[0] > sizes.batch_max);
      if (!better) continue;
      profile_ = i;
      sizes = {low.d[0], high.d[0], low.d[1], high.d[1]};
    }
    if (sizes.frames_max < 1) {
      fail(PM_BAD_MODEL, "'%s' has no optimization profile for '%s': %s", model_.path.c_str(),
           kInput, kBuildAgain);
    }
  }

  void create_context() {
    constexpr int32_t kStatic = 0;  // ExecutionContextAllocationStrategy
    TrtLibrary::forget_message();
    context_.reset(trt::call<const void*>(engine(), places_.engine_create_context, kStatic));
    check(context_ != nullptr, "has no room to run");
    if (profile_ == 0) return;
    buffers_ = std::make_unique<CudaBuffers>(gpu_);
    check(trt::call<bool>(context(), places_.context_set_profile, static_cast<int32_t>(profile_),
                          static_cast<void*>(buffers_->stream())),
          "does not take its profile");
    buffers_->wait();
  }

  bool set_address(const char* name, void* address) const {
    return trt::call<bool>(context(), places_.context_set_address, name, address);
  }

  bool enqueue() const {
    TrtLibrary::forget_message();
    return trt::call<bool>(context(), places_.context_enqueue,
                           static_cast<void*>(buffers_->stream()));
  }

  void set_shape(int64_t batch, int64_t frames) {
    forget_graph();
    batch_ = frames_ = 0;
    const trt::Dims shape{4, {batch, frames, kJointCount, 2, 0, 0, 0, 0}};
    TrtLibrary::forget_message();
    check(trt::call<bool>(context(), places_.context_set_input_shape, kInput, &shape),
          "does not take a clip of that size");
    batch_ = batch;
    frames_ = frames;
  }

  // A graph belongs to the sizes and addresses it was captured with; the run before has warmed up.
  void capture() {
    constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    gpu_->check(gpu_->cuStreamBeginCapture_v2(buffers_->stream(), kThreadLocal),
                "cuStreamBeginCapture");
    const bool enqueued = enqueue();
    cuda::Graph* graph = nullptr;
    const int ended = gpu_->cuStreamEndCapture(buffers_->stream(), &graph);
    const bool recorded = ended == 0 && graph != nullptr;
    const bool captured = enqueued && recorded;
    cuda::GraphExec* made = nullptr;  // a call that fails may leave anything in it
    const int result = captured ? gpu_->cuGraphInstantiateWithFlags(&made, graph, 0) : 0;
    if (recorded) gpu_->cuGraphDestroy(graph);
    check(captured, "cannot be captured as a CUDA graph");
    gpu_->check(result, "cuGraphInstantiate");
    graph_ = made;
  }

  void forget_graph() {
    if (graph_ != nullptr) gpu_->cuGraphExecDestroy(graph_);
    graph_ = nullptr;
  }

  PlanFile plan_;
  TrtLibrary library_;
  const trt::Places& places_;
  std::shared_ptr<Cuda> gpu_;
  Object runtime_, engine_, context_;  // each needs those before it
  std::unique_ptr<CudaBuffers> buffers_;
  int profile_ = 0;
  int64_t batch_ = 0, frames_ = 0;  // sizes the context is set to
  cuda::GraphExec* graph_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> open_tensorrt(const BackendRequest& request, const TrtFlavour& flavour) {
  return std::make_unique<TensorRt>(request, flavour);
}

std::unique_ptr<Backend> open_tensorrt_of_engine(const BackendRequest& request) {
  if (file_start(request.path) == kRtxPlanStart) return open_tensorrt(request, kTensorRtRtx);
  try {
    return open_tensorrt(request, kTensorRt);
  } catch (const Failure& full) {
    const std::string sidecar = request.path + ".json";
    if (full.code != PM_MISSING || !file_exists(sidecar)) throw;
    const std::vector<char> text = read_file(sidecar);
    ModelFacts ignored;
    if (!read_sidecar(sidecar, {text.data(), text.size()}, ignored).version_compatible) throw;
    auto backend = open_tensorrt(request, kTensorRtLean);
    backend->facts().why = full.sentence;
    return backend;
  }
}

}  // namespace posemamba::runtime
