#include "cpu_device.h"

#include <unistd.h>

#include "block_cpu.h"
#include "posemamba/scan_cpu.h"

namespace posemamba::ort {
namespace {

constexpr size_t kAlignment = 64;  // what the kernels ask of their workspace

Status* from_launcher(const Api* api, const char* op, pm_status status) {
  return status == PM_OK ? nullptr : invalid(api, op, pm_status_string(status));
}

// Scratch memory from the session's arena, so that a forward of 40 scans touches the same pages.
class Workspace {
 public:
  Workspace(const Api* api, const KernelContext* context) : api_(api), context_(context) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  ~Workspace() {
    if (block_ != nullptr) {
      if (Status* error = AllocatorFree(api_, allocator_, block_)) ReleaseStatus(api_, error);
    }
    if (allocator_ != nullptr) ReleaseAllocator(api_, allocator_);
  }

  Status* allocate(size_t bytes) {
    MemoryInfo* memory = nullptr;
    PM_ORT_RETURN_IF_ERROR(
        CreateCpuMemoryInfo(api_, kOrtArenaAllocator, kOrtMemTypeDefault, &memory));
    Status* error = KernelContext_GetAllocator(api_, context_, memory, &allocator_);
    ReleaseMemoryInfo(api_, memory);
    PM_ORT_RETURN_IF_ERROR(error);
    return AllocatorAlloc(api_, allocator_, bytes + kAlignment, &block_);
  }

  void* data() const { return align_up(block_, kAlignment); }

 private:
  const Api* api_;
  const KernelContext* context_;
  Allocator* allocator_ = nullptr;
  void* block_ = nullptr;
};

// The session's intra-op pool as the kernels' thread interface. Must outlive the launch.
class HostThreads {
 public:
  HostThreads(const Api* api, const KernelContext* context) : api_(api), context_(context) {
    // The pool's size cannot be asked for; the machine's is what it defaults to. It is only a hint.
    // sysconf, since std::thread would bind the library to the C library of the build machine.
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    parallel_ = {this, cores < 1 ? 1 : static_cast<int32_t>(cores), &HostThreads::run};
  }

  const pm_parallel* parallel() const { return &parallel_; }

 private:
  static void run(void* self, int64_t tasks, void (*task)(void*, int64_t), void* arg) {
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
        KernelContext_ParallelFor(host->api_, host->context_, step, static_cast<size_t>(tasks),
                                  size_t{0}, static_cast<void*>(&call));
    if (error != nullptr) {  // refused before any task ran: do the work here
      ReleaseStatus(host->api_, error);
      for (int64_t i = 0; i < tasks; ++i) task(arg, i);
    }
  }

  const Api* api_;
  const KernelContext* context_;
  pm_parallel parallel_;
};

template <class Params>
Status* launch_scan(const Api* api, KernelContext* context, const char* op, const Params& params,
                    size_t (*workspace_of)(const Params*, int32_t),
                    pm_status (*launch)(const Params*, void*, const pm_parallel*)) {
  HostThreads threads(api, context);
  Workspace workspace(api, context);
  PM_ORT_RETURN_IF_ERROR(workspace.allocate(workspace_of(&params, threads.parallel()->threads)));
  return from_launcher(api, op, launch(&params, workspace.data(), threads.parallel()));
}

}  // namespace

Status* CpuDevice::launch(const Api* api, KernelContext* context, const char* op,
                          const pm_cross_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cpu_cross_scan_workspace, &pm_cpu_cross_scan);
}

Status* CpuDevice::launch(const Api* api, KernelContext* context, const char* op,
                          const pm_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cpu_scan_workspace, &pm_cpu_scan);
}

Status* CpuDevice::launch(const Api* api, KernelContext* context, const char* op,
                          const pm_indexed_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cpu_indexed_scan_workspace,
                     &pm_cpu_indexed_scan);
}

Status* CpuDevice::launch(const Api* api, KernelContext* context, const char* op,
                          const pm_stateful_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cpu_stateful_scan_workspace,
                     &pm_cpu_stateful_scan);
}

Status* CpuDevice::launch(const Api*, KernelContext*, const char*,
                          const pm_conv_silu_params& params) {
  conv_silu_cpu(params);
  return nullptr;
}

Status* CpuDevice::launch(const Api*, KernelContext*, const char*,
                          const pm_gated_norm_params& params) {
  gated_norm_cpu(params);
  return nullptr;
}

Status* CpuDevice::launch(const Api*, KernelContext*, const char*,
                          const pm_add_norm_params& params) {
  add_norm_cpu(params);
  return nullptr;
}

}  // namespace posemamba::ort
