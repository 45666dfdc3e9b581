// Runs operators on the session's CUDA stream: CUDAExecutionProvider.
//
// Nothing synchronises and nothing is allocated outside the session's arena, so the operators may
// be captured in the provider's CUDA graphs.
#pragma once

#include "context.h"
#include "posemamba/whole_block.h"

namespace posemamba::ort {

struct CudaDevice {
  static constexpr const char* kProvider = "CUDAExecutionProvider";

  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_cross_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_indexed_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_stateful_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_conv_silu_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_gated_norm_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_add_norm_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_embed_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_conv_proj_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_block_tail_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_block_params& params);
};

}  // namespace posemamba::ort
