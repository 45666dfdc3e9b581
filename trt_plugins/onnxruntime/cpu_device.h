// Runs operators on the session's intra-op threads: CPUExecutionProvider.
#pragma once

#include "context.h"
#include "posemamba/block.h"

namespace posemamba::ort {

struct CpuDevice {
  static constexpr const char* kProvider = "CPUExecutionProvider";

  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_cross_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_indexed_scan_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_stateful_scan_params& params);
  // Plain loops: they make a model rewritten for CUDA checkable on any machine.
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_conv_silu_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_gated_norm_params& params);
  static Status* launch(const Api* api, KernelContext* context, const char* op,
                        const pm_add_norm_params& params);
};

}  // namespace posemamba::ort
