#include "backends/ort_model.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "core/failure.h"
#include "core/metadata.h"

namespace posemamba::runtime {
namespace {

constexpr const char* kOpLibrary = "libposemamba_ort.so";

// ONNX Runtime's own messages: what matters of them comes back in a status.
void drop(void*, ort::Severity, const char*, const char*, const char*, const char*) {}

const char* kExportAgain = "export it again with 'pmexport onnx'";

std::string type_name(ort::ElementType type) {
  if (type == ort::kOrtFloat) return "float32";
  if (type == ort::kOrtFloat16) return "float16";
  return std::to_string(static_cast<int>(type)) + " of ONNX";
}

}  // namespace

ort::Env* start(const OrtLibrary& library) {
  static std::mutex mutex;
  static auto& all = *new std::map<const ort::Api*, ort::Env*>();  // not destroyed at exit either
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = all.find(library.api());
  if (found != all.end()) return found->second;
  ort::Env* env = nullptr;
  library.check(ort::CreateEnvWithCustomLogger(library.api(), &drop, nullptr, ort::kOrtFatal,
                                               "posemamba", &env),
                PM_BACKEND_FAILED, "ONNX Runtime does not start", "install ONNX Runtime again");
  all.emplace(library.api(), env);
  return env;
}

OrtModel::OrtModel(const BackendRequest& request, std::shared_ptr<OrtLibrary> library,
                   const ort::CudaOptions* cuda)
    : library_(std::move(library)), session_(api()) {
  facts_.path = request.path;
  open(request, cuda);
  int64_t taken[2] = {};
  int64_t given[2] = {};
  check_side(true, taken);
  check_side(false, given);
  check_pairing(facts_.path, taken, given);
  facts_.sizes = {std::max<int64_t>(taken[0], 1), std::max<int64_t>(taken[0], 0),
                  std::max<int64_t>(taken[1], 1), std::max<int64_t>(taken[1], 0)};
  read_facts();
}

void OrtModel::open(const BackendRequest& request, const ort::CudaOptions* cuda) {
  const auto check = [&](ort::Status* status, const char* subject) {
    library_->check(status, PM_BACKEND_FAILED, subject, "install ONNX Runtime again");
  };
  ort::Env* const env = start(*library_);
  OrtSessionOptions options(api());
  check(ort::CreateSessionOptions(api(), options.out()), "no session options");
  check(ort::SetSessionLogSeverityLevel(api(), options.get(), ort::kOrtFatal), "no log level");
  check(ort::SetSessionGraphOptimizationLevel(api(), options.get(), ort::kOrtEnableAll),
        "no optimization level");
  if (request.threads > 0) {
    check(ort::SetIntraOpNumThreads(api(), options.get(), request.threads), "no threads");
  }
  if (cuda != nullptr) {
    library_->check(ort::SessionOptionsAppendExecutionProvider_CUDA_V2(api(), options.get(), cuda),
                    PM_MISSING, "the CUDA provider of ONNX Runtime does not start",
                    "check the GPU's driver, CUDA and cuDNN, or use backend onnxruntime-cpu");
  }
  op_library_ = find_op_library(request.op_library, kOpLibrary);
  if (!op_library_.empty()) {
    library_->check(ort::RegisterCustomOpsLibrary_V2(api(), options.get(), op_library_.c_str()),
                    PM_MISMATCH, "the operators of '" + op_library_ + "' cannot be registered",
                    "use the op library of the release that exported the model");
  }
  explain(ort::CreateSession(api(), env, request.path.c_str(), options.get(), session_.out()));
}

// Why a session could not be made, as one sentence with its fix.
void OrtModel::explain(ort::Status* status) const {
  if (status == nullptr) return;
  int code = 0;
  const std::string message = library_->take_message(status, &code);
  const char* path = facts_.path.c_str();
  if (op_library_.empty() && message.find("posemamba") != std::string::npos) {
    fail(PM_MISSING,
         "'%s' needs the operators of libposemamba_ort.so, which was not found; looked in %s: name "
         "its folder with POSEMAMBA_LIBRARY_PATH or the file with op_library, or export with --ops "
         "standard",
         path, places_searched().c_str());
  }
  if (code == ort::kOrtInvalidProtobuf || code == ort::kOrtNoModel) {
    fail(PM_BAD_MODEL, "'%s' is no ONNX model, or is truncated (ONNX Runtime %s: %s): %s", path,
         library_->version().c_str(), message.c_str(), kExportAgain);
  }
  if (code == ort::kOrtNoSuchFile) {
    fail(PM_MISSING, "'%s' or a file it refers to cannot be read (%s): check the path", path,
         message.c_str());
  }
  fail(PM_BAD_MODEL, "'%s' cannot be opened (ONNX Runtime %s: %s): %s", path,
       library_->version().c_str(), message.c_str(), kExportAgain);
}

// The one input or output: its name, type and sizes, of which batch and frames are returned, -1
// where any. What the session says counts, not metadata.
void OrtModel::check_side(bool input, int64_t (&sizes)[2]) {
  const char* side = input ? "input" : "output";
  const char* wanted = input ? kInputName : kOutputName;
  const int64_t channels = input ? kInputChannels : 3;
  const auto check = [&](ort::Status* status) {
    library_->check(status, PM_BAD_MODEL,
                    "'" + facts_.path + "' has an " + side + " that cannot be read", kExportAgain);
  };
  size_t count = 0;
  check(input ? ort::SessionGetInputCount(api(), session(), &count)
              : ort::SessionGetOutputCount(api(), session(), &count));
  ort::Allocator* allocator = nullptr;
  check(ort::GetAllocatorWithDefaultOptions(api(), &allocator));
  std::string name;
  if (count > 0) {
    char* found = nullptr;
    check(input ? ort::SessionGetInputName(api(), session(), 0, allocator, &found)
                : ort::SessionGetOutputName(api(), session(), 0, allocator, &found));
    name = found;
    check(ort::AllocatorFree(api(), allocator, found));
  }
  if (count != 1 || name != wanted) {
    fail(PM_BAD_MODEL,
         "'%s' has %zu %s%s, the first named '%.40s', a PoseMamba model has one, '%s': %s",
         facts_.path.c_str(), count, side, count == 1 ? "" : "s", name.c_str(), wanted,
         kExportAgain);
  }
  OrtTypeInfo type(api());
  check(input ? ort::SessionGetInputTypeInfo(api(), session(), 0, type.out())
              : ort::SessionGetOutputTypeInfo(api(), session(), 0, type.out()));
  const ort::TensorInfo* info = nullptr;
  check(ort::CastTypeInfoToTensorInfo(api(), type.get(), &info));
  if (info == nullptr) {
    fail(PM_BAD_MODEL, "'%s': %s '%s' is no tensor: %s", facts_.path.c_str(), side, wanted,
         kExportAgain);
  }
  ort::ElementType element{};
  size_t rank = 0;
  check(ort::GetTensorElementType(api(), info, &element));
  check(ort::GetDimensionsCount(api(), info, &rank));
  int64_t shape[4] = {};
  if (rank == 4) check(ort::GetDimensions(api(), info, shape, rank));
  if (input && rank == 4) check_channels(facts_.path, shape[3]);
  const bool joints_fit =
      (shape[2] == kJointCount || shape[2] < 0) && (shape[3] == channels || shape[3] < 0);
  if (element != ort::kOrtFloat || rank != 4 || !joints_fit) {
    fail(PM_BAD_MODEL,
         "'%s': %s '%s' has type %s, %zu dimensions, joints %lld and channels %lld; expected "
         "float32, [batch][frames][17][%lld]: export it with 17 joints and x, y",
         facts_.path.c_str(), side, wanted, type_name(element).c_str(), rank,
         static_cast<long long>(shape[2]), static_cast<long long>(shape[3]),
         static_cast<long long>(channels));
  }
  for (int i = 0; i < 2; ++i) sizes[i] = shape[i] > 0 ? shape[i] : -1;
}

void OrtModel::read_facts() {
  OrtMetadata metadata(api());
  ort::Allocator* allocator = nullptr;
  const auto check = [&](ort::Status* status) {
    library_->check(status, PM_BAD_MODEL, "the metadata of '" + facts_.path + "' cannot be read",
                    kExportAgain);
  };
  check(ort::GetAllocatorWithDefaultOptions(api(), &allocator));
  check(ort::SessionGetModelMetadata(api(), session(), metadata.out()));
  const auto lookup = [&](const char* key) {
    char* value = nullptr;
    check(ort::ModelMetadataLookupCustomMetadataMap(api(), metadata.get(), allocator, key, &value));
    if (value == nullptr) return std::string();
    std::string copy = value;
    check(ort::AllocatorFree(api(), allocator, value));
    return copy;
  };
  const int64_t trained = read_metadata(facts_.path, lookup, facts_);
  if (facts_.sizes.frames_max == 0) facts_.sizes.frames_max = trained;
}

OrtMemoryInfo OrtModel::memory(const char* name, int device) const {
  OrtMemoryInfo where(api());
  library_->check(ort::CreateMemoryInfo(api(), name, ort::kOrtDeviceAllocator, device,
                                        ort::kOrtMemTypeDefault, where.out()),
                  PM_BACKEND_FAILED, std::string("no memory of kind ") + name,
                  "install ONNX Runtime again");
  return where;
}

OrtValue OrtModel::tensor(const OrtMemoryInfo& where, void* data, int64_t batch, int64_t frames,
                          int64_t channels) const {
  const int64_t shape[4] = {batch, frames, kJointCount, channels};
  const auto bytes = static_cast<size_t>(batch * frames * kJointCount * channels) * sizeof(float);
  OrtValue value(api());
  library_->check(ort::CreateTensorWithDataAsOrtValue(api(), where.get(), data, bytes, shape, 4,
                                                      ort::kOrtFloat, value.out()),
                  PM_BACKEND_FAILED, "no tensor", "install ONNX Runtime again");
  return value;
}

void OrtModel::run_failed_if(ort::Status* status, int64_t batch, int64_t frames) const {
  if (status == nullptr) return;
  library_->check(
      status, PM_BACKEND_FAILED,
      text("'%s' failed on keypoints_2d of shape (%lld, %lld, 17, 2)", facts_.path.c_str(),
           static_cast<long long>(batch), static_cast<long long>(frames)),
      "check the model with 'pmexport check', and free memory");
}

}  // namespace posemamba::runtime
