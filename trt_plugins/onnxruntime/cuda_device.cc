#include "cuda_device.h"

#include <cstdio>

#include "posemamba/scan_cuda.h"

namespace posemamba::ort {
namespace {

constexpr size_t kAlignment = 256;  // what the kernels ask of their workspace

Status* from_cuda(const Api* api, const char* op, cudaError_t error) {
  if (error == cudaSuccess) return nullptr;
  char what[160];
  const bool refused = error == cudaErrorInvalidValue || error == cudaErrorNotSupported;
  std::snprintf(what, sizeof what, "CUDA error %d (%s)%s", static_cast<int>(error),
                cudaGetErrorString(error),
                refused ? ": the kernels do not take these sizes, see docs/reference/ops.md" : "");
  return invalid(api, op, what);
}

// Where a call runs: the session's stream and the memory its tensors are in.
struct Place {
  cudaStream_t stream = nullptr;
  const MemoryInfo* memory = nullptr;  // belongs to the first input
};

Status* find(const Api* api, const KernelContext* context, const char* op, Place* place) {
  void* stream = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetGPUComputeStream(api, context, &stream));
  place->stream = static_cast<cudaStream_t>(stream);
  const Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetInput(api, context, size_t{0}, &value));
  PM_ORT_RETURN_IF_ERROR(GetTensorMemoryInfo(api, value, &place->memory));
  int device = 0, current = 0;
  PM_ORT_RETURN_IF_ERROR(MemoryInfoGetId(api, place->memory, &device));
  // Our CUDA runtime is linked statically and may not have followed the provider's.
  PM_ORT_RETURN_IF_ERROR(from_cuda(api, op, cudaGetDevice(&current)));
  return device == current ? nullptr : from_cuda(api, op, cudaSetDevice(device));
}

// Scratch memory from the session's CUDA arena. It belongs to the compute stream, so it may be
// handed back while the kernels that use it are still queued.
class Workspace {
 public:
  Workspace(const Api* api, const KernelContext* context, const Place& place)
      : api_(api), context_(context), memory_(place.memory) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  ~Workspace() {
    if (block_ != nullptr) {
      if (Status* error = AllocatorFree(api_, allocator_, block_)) ReleaseStatus(api_, error);
    }
    if (allocator_ != nullptr) ReleaseAllocator(api_, allocator_);
  }

  Status* allocate(size_t bytes) {
    PM_ORT_RETURN_IF_ERROR(KernelContext_GetAllocator(api_, context_, memory_, &allocator_));
    return KernelContext_GetScratchBuffer(api_, context_, memory_, bytes + kAlignment, &block_);
  }

  void* data() const { return align_up(block_, kAlignment); }

 private:
  const Api* api_;
  const KernelContext* context_;
  const MemoryInfo* memory_;
  Allocator* allocator_ = nullptr;
  void* block_ = nullptr;
};

template <class Params>
using WorkspaceQuery = size_t (*)(const Params*, const pm_cuda_tuning*);
template <class Params>
using ScanLauncher = cudaError_t (*)(const Params*, const pm_cuda_tuning*, void*, cudaStream_t);

template <class Params>
Status* launch_scan(const Api* api, KernelContext* context, const char* op, const Params& params,
                    WorkspaceQuery<Params> query, ScanLauncher<Params> launch) {
  Place place;
  PM_ORT_RETURN_IF_ERROR(find(api, context, op, &place));
  Workspace workspace(api, context, place);
  PM_ORT_RETURN_IF_ERROR(workspace.allocate(query(&params, nullptr)));
  return from_cuda(api, op, launch(&params, nullptr, workspace.data(), place.stream));
}

template <class Params>
Status* launch_plain(const Api* api, KernelContext* context, const char* op, const Params& params,
                     cudaError_t (*launch)(const Params*, cudaStream_t)) {
  Place place;
  PM_ORT_RETURN_IF_ERROR(find(api, context, op, &place));
  return from_cuda(api, op, launch(&params, place.stream));
}

}  // namespace

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_cross_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cuda_cross_scan_workspace, &pm_cuda_cross_scan);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cuda_scan_workspace, &pm_cuda_scan);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_indexed_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cuda_indexed_scan_workspace,
                     &pm_cuda_indexed_scan);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_stateful_scan_params& params) {
  return launch_scan(api, context, op, params, &pm_cuda_stateful_scan_workspace,
                     &pm_cuda_stateful_scan);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_conv_silu_params& params) {
  return launch_plain(api, context, op, params, &pm_cuda_conv_silu);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_gated_norm_params& params) {
  return launch_plain(api, context, op, params, &pm_cuda_gated_norm);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_add_norm_params& params) {
  return launch_plain(api, context, op, params, &pm_cuda_add_norm);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_embed_params& params) {
  return launch_plain(api, context, op, params, &pm_cuda_embed);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_conv_proj_params& params) {
  return launch_plain(api, context, op, params, &pm_cuda_conv_proj);
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_block_tail_params& params) {
  Place place;
  PM_ORT_RETURN_IF_ERROR(find(api, context, op, &place));
  Workspace workspace(api, context, place);
  PM_ORT_RETURN_IF_ERROR(workspace.allocate(pm_cuda_cross_scan_workspace(&params.scan, nullptr)));
  return from_cuda(api, op, pm_cuda_block_tail(&params, workspace.data(), place.stream));
}

Status* CudaDevice::launch(const Api* api, KernelContext* context, const char* op,
                           const pm_block_params& params) {
  Place place;
  PM_ORT_RETURN_IF_ERROR(find(api, context, op, &place));
  Workspace workspace(api, context, place);
  const size_t scan = pm_cuda_cross_scan_workspace(&params.tail.scan, nullptr);
  PM_ORT_RETURN_IF_ERROR(workspace.allocate(pm_block_workspace(&params.conv, scan)));
  pm_block_params placed = params;
  pm_place_scan_inputs(&placed, workspace.data(), scan);
  return from_cuda(api, op,
                   pm_cuda_block(&placed.conv, &placed.tail, workspace.data(), place.stream));
}

}  // namespace posemamba::ort
