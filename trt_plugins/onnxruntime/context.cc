#include "context.h"

#include <cstdio>
#include <limits>
#include <thread>

namespace posemamba::ort {
namespace {
constexpr size_t kAlignment = 64;  // what the kernels ask of their workspace
}

Status* Invalid(const Api* api, const char* op, const char* what) {
  char message[256];
  std::snprintf(message, sizeof message, "posemamba::%s: %s", op, what);
  return CreateStatus(api, kOrtInvalidArgument, message);
}

Status* FromLauncher(const Api* api, const char* op, pm_status status) {
  return status == PM_OK ? nullptr : Invalid(api, op, pm_status_string(status));
}

Status* ReadInt(const Api* api, const KernelInfo* info, const char* name, int32_t* value) {
  int64_t wide = 0;
  PM_ORT_RETURN_IF_ERROR(KernelInfoGetAttribute_int64(api, info, name, &wide));
  if (wide < 0 || wide > std::numeric_limits<int32_t>::max()) {
    return Invalid(api, name, "attribute out of range");
  }
  *value = static_cast<int32_t>(wide);
  return nullptr;
}

Status* ReadInts(const Api* api, const KernelInfo* info, const char* name, int32_t* values,
                 size_t capacity, size_t* count) {
  int64_t wide[PM_MAX_JOINTS];
  size_t found = 0;
  // A null buffer asks for the length.
  PM_ORT_RETURN_IF_ERROR(
      KernelInfoGetAttributeArray_int64(api, info, name, static_cast<int64_t*>(nullptr), &found));
  if (found > capacity || found > PM_MAX_JOINTS || (*count != 0 && found != *count)) {
    return Invalid(api, name, "attribute has the wrong number of entries");
  }
  PM_ORT_RETURN_IF_ERROR(
      KernelInfoGetAttributeArray_int64(api, info, name, static_cast<int64_t*>(wide), &found));
  for (size_t i = 0; i < found; ++i) values[i] = static_cast<int32_t>(wide[i]);
  *count = found;
  return nullptr;
}

Status* Input(const Api* api, const KernelContext* context, size_t index, size_t rank,
              const char* op, Tensor* tensor) {
  const Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetInput(api, context, index, &value));
  if (value == nullptr) {  // an optional input that is absent
    *tensor = Tensor{};
    return nullptr;
  }
  TensorInfo* info = nullptr;
  PM_ORT_RETURN_IF_ERROR(GetTensorTypeAndShape(api, value, &info));
  Status* error = GetDimensionsCount(api, static_cast<const TensorInfo*>(info), &tensor->rank);
  const bool fits = error == nullptr && tensor->rank == rank;
  if (fits) {
    error = GetDimensions(api, static_cast<const TensorInfo*>(info), tensor->dims.data(), rank);
  }
  ReleaseTensorTypeAndShapeInfo(api, info);
  PM_ORT_RETURN_IF_ERROR(error);
  if (!fits) {
    char message[96];
    std::snprintf(message, sizeof message, "input %zu has %zu axes, it must have %zu", index,
                  tensor->rank, rank);
    return Invalid(api, op, message);
  }
  return GetTensorMutableData(api, const_cast<Value*>(value), &tensor->data);
}

Status* Output(const Api* api, KernelContext* context, const Tensor& like, void** data) {
  Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(
      KernelContext_GetOutput(api, context, size_t{0}, like.dims.data(), like.rank, &value));
  return GetTensorMutableData(api, value, data);
}

Status* SameShapeAsFirstInput(const Api* api, ShapeInferContext* context) {
  TensorInfo* info = nullptr;
  PM_ORT_RETURN_IF_ERROR(ShapeInferContext_GetInputTypeShape(api, context, size_t{0}, &info));
  // `info` belongs to the context and is not ours to release.
  return ShapeInferContext_SetOutputTypeShape(api, context, size_t{0}, info);
}

Status* Workspace::Allocate(size_t bytes) {
  MemoryInfo* memory = nullptr;
  PM_ORT_RETURN_IF_ERROR(
      CreateCpuMemoryInfo(api_, kOrtArenaAllocator, kOrtMemTypeDefault, &memory));
  Status* error = KernelContext_GetAllocator(api_, context_, memory, &allocator_);
  ReleaseMemoryInfo(api_, memory);
  PM_ORT_RETURN_IF_ERROR(error);
  return AllocatorAlloc(api_, allocator_, bytes + kAlignment, &block_);
}

void* Workspace::data() const {
  const auto address = reinterpret_cast<uintptr_t>(block_);
  return reinterpret_cast<void*>((address + kAlignment - 1) & ~uintptr_t{kAlignment - 1});
}

Workspace::~Workspace() {
  if (block_ != nullptr) {
    if (Status* error = AllocatorFree(api_, allocator_, block_)) ReleaseStatus(api_, error);
  }
  if (allocator_ != nullptr) ReleaseAllocator(api_, allocator_);
}

HostThreads::HostThreads(const Api* api, const KernelContext* context)
    : api_(api), context_(context) {
  // The pool's size cannot be asked for; the machine's is what it defaults to. It is only a hint.
  const unsigned cores = std::thread::hardware_concurrency();
  parallel_ = {this, cores == 0 ? 1 : static_cast<int32_t>(cores), &HostThreads::Run};
}

void HostThreads::Run(void* self, int64_t tasks, void (*task)(void*, int64_t), void* arg) {
  struct Call {
    void (*task)(void*, int64_t);
    void* arg;
  } call{task, arg};
  auto* host = static_cast<HostThreads*>(self);
  auto step = +[](void* data, size_t index) {
    auto* c = static_cast<Call*>(data);
    c->task(c->arg, static_cast<int64_t>(index));
  };
  Status* error =
      KernelContext_ParallelFor(host->api_, static_cast<const KernelContext*>(host->context_), step,
                                static_cast<size_t>(tasks), size_t{0}, static_cast<void*>(&call));
  if (error != nullptr) {  // refused before any task ran: do the work here
    ReleaseStatus(host->api_, error);
    for (int64_t i = 0; i < tasks; ++i) task(arg, i);
  }
}

}  // namespace posemamba::ort
