// What the operators share on every execution provider: tensors of a call, attributes of a node,
// errors.
#pragma once

#include <array>
#include <cstdint>

#include "ort_api.h"
#include "posemamba/scan_v2.h"

namespace posemamba::ort {

struct Tensor {
  void* data = nullptr;
  size_t rank = 0;
  std::array<int64_t, 4> dims{};  // no operator here has more axes

  bool is(std::array<int64_t, 4> shape) const { return dims == shape; }
  const float* floats() const { return static_cast<const float*>(data); }
  const int32_t* ints() const { return static_cast<const int32_t*>(data); }
};

// An output that may be written over an input of its size: both by their number.
struct Over {
  int output, input;
};

// Error of the user's: a node or an input that breaks the operator's contract.
Status* invalid(const Api* api, const char* op, const char* what);

Status* read_float(const Api* api, const KernelInfo* info, const char* name, float* value);
Status* read_int(const Api* api, const KernelInfo* info, const char* name, int32_t* value);
// Reads exactly *count values, or any number up to `capacity` where *count is 0, and sets *count.
Status* read_ints(const Api* api, const KernelInfo* info, const char* name, int32_t* values,
                  size_t capacity, size_t* count);

// Whether a node has an attribute.
bool has_ints(const Api* api, const KernelInfo* info, const char* name);
bool has_int(const Api* api, const KernelInfo* info, const char* name);

Status* input_count(const Api* api, const KernelContext* context, size_t* count);
// An input after the required ones: trailing inputs may be left out, inner ones be empty.
Status* read_optional(const Api* api, const KernelContext* context, size_t index, size_t rank,
                      const char* op, Tensor* tensor);
Status* read_input(const Api* api, const KernelContext* context, size_t index, size_t rank,
                   const char* op, Tensor* tensor);
// Whether there is nothing to compute. Only after `bind` has checked the inputs.
Status* first_input_is_empty(const Api* api, const KernelContext* context, bool* empty);
// Makes output `index` with the first `rank` sizes of `dims`.
Status* make_output(const Api* api, KernelContext* context, size_t index,
                    const std::array<int64_t, 4>& dims, size_t rank, void** data);
// The same of an output that may be left out; then `data` becomes null.
Status* make_optional_output(const Api* api, KernelContext* context, size_t index,
                             const std::array<int64_t, 4>& dims, size_t rank, void** data);
// Shape inference: the sizes of an input. `info` becomes null where it does not have `rank` axes:
// ONNX Runtime says 0 of an input whose shape is unknown, and nothing may be said of the output.
Status* shape_of(const Api* api, ShapeInferContext* context, size_t input, size_t rank,
                 TensorInfo** info, int64_t* dims);
// Shape inference: the output has the type and shape of the input, which has `rank` axes.
Status* output_like_input(const Api* api, ShapeInferContext* context, size_t output, size_t input,
                          size_t rank);

// Shape inference: the output has the (batch, frames, joints) of the input, `channels` and a type.
Status* output_on_grid(const Api* api, ShapeInferContext* context, size_t output, size_t input,
                       int64_t channels, ElementType type);

// A block's start, moved up to a multiple of `alignment`, a power of two.
inline void* align_up(void* block, uintptr_t alignment) {
  return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(block) + alignment - 1) &
                                 ~(alignment - 1));
}

}  // namespace posemamba::ort

// Hands an error to the caller, as every ONNX Runtime call may return one.
#define PM_ORT_RETURN_IF_ERROR(expression)                                \
  do {                                                                    \
    if (posemamba::ort::Status* pm_error = (expression)) return pm_error; \
  } while (false)
