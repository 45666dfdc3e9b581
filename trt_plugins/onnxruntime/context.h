// What the two operators share: tensors of a call, attributes of a node, workspace, the host's
// threads.
#pragma once

#include <array>
#include <cstdint>

#include "ort_api.h"
#include "posemamba/scan.h"
#include "posemamba/scan_cpu.h"

namespace posemamba::ort {

struct Tensor {
  void* data = nullptr;
  size_t rank = 0;
  std::array<int64_t, 4> dims{};  // no operator here has more axes
};

// Error of the user's: a node or an input that breaks the operator's contract.
Status* Invalid(const Api* api, const char* op, const char* what);
Status* FromLauncher(const Api* api, const char* op, pm_status status);

Status* ReadInt(const Api* api, const KernelInfo* info, const char* name, int32_t* value);
// Reads exactly *count values, or any number up to `capacity` where *count is 0, and sets *count.
Status* ReadInts(const Api* api, const KernelInfo* info, const char* name, int32_t* values,
                 size_t capacity, size_t* count);

Status* Input(const Api* api, const KernelContext* context, size_t index, size_t rank,
              const char* op, Tensor* tensor);
Status* Output(const Api* api, KernelContext* context, const Tensor& like, void** data);
Status* SameShapeAsFirstInput(const Api* api, ShapeInferContext* context);

// Scratch memory from the session's arena, so that a forward of 40 scans touches the same pages.
class Workspace {
 public:
  Workspace(const Api* api, const KernelContext* context) : api_(api), context_(context) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace();
  Status* Allocate(size_t bytes);
  void* data() const;  // 64-byte aligned

 private:
  const Api* api_;
  const KernelContext* context_;
  Allocator* allocator_ = nullptr;
  void* block_ = nullptr;
};

// The session's intra-op pool as the kernels' thread interface. Must outlive the launch.
class HostThreads {
 public:
  HostThreads(const Api* api, const KernelContext* context);
  const pm_parallel* parallel() const { return &parallel_; }

 private:
  static void Run(void* self, int64_t tasks, void (*task)(void*, int64_t), void* arg);
  const Api* api_;
  const KernelContext* context_;
  pm_parallel parallel_;
};

}  // namespace posemamba::ort

// Hands an error to the caller, as every ONNX Runtime call may return one.
#define PM_ORT_RETURN_IF_ERROR(expression)                                \
  do {                                                                    \
    if (posemamba::ort::Status* pm_error = (expression)) return pm_error; \
  } while (false)
