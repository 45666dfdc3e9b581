// posemamba::CrossSelectiveScan as a node of either version (docs/reference/ops.md).
//
// ONNX Runtime knows one signature of an operator. Its last three inputs make a node of version 2.
#pragma once

#include "cross_selective_scan.h"
#include "op_row.h"

namespace posemamba::ort {

struct AnyCrossSelectiveScan {
  using Params = Versions<pm_cross_scan_params, pm_indexed_scan_params>;
  static constexpr const char* kName = CrossSelectiveScan::kName;
  // x, x_dbl, dt_weight, dt_bias, A, D, scan_index, neighbour_index, reset_length
  static constexpr const char* kInputs = "TTffffiii";
  static constexpr const char* kOutputs = "T";
  static constexpr size_t kRequired = 6;

  const Api* api;
  pm_dtype dtype;
  bool has_order;            // the attributes of version 1
  CrossSelectiveScan first;  // where it has
  int32_t d_state;
  int32_t dt_rank;

  static Status* infer_shape(const Api* api, ShapeInferContext* context) {
    return CrossSelectiveScan::infer_shape(api, context);
  }
  Status* read(const KernelInfo* info);
  Status* bind(KernelContext* context, Params* params) const;

 private:
  Status* bind_tables(KernelContext* context, const Tensor& scan_index,
                      pm_indexed_scan_params* params) const;
};

}  // namespace posemamba::ort
