#include "context.h"

#include <cstdio>
#include <limits>

namespace posemamba::ort {

Status* invalid(const Api* api, const char* op, const char* what) {
  char message[256];
  std::snprintf(message, sizeof message, "posemamba::%s: %s", op, what);
  return CreateStatus(api, kOrtInvalidArgument, message);
}

Status* read_float(const Api* api, const KernelInfo* info, const char* name, float* value) {
  return KernelInfoGetAttribute_float(api, info, name, value);
}

Status* read_int(const Api* api, const KernelInfo* info, const char* name, int32_t* value) {
  int64_t wide = 0;
  PM_ORT_RETURN_IF_ERROR(KernelInfoGetAttribute_int64(api, info, name, &wide));
  if (wide < 0 || wide > std::numeric_limits<int32_t>::max()) {
    return invalid(api, name, "attribute out of range");
  }
  *value = static_cast<int32_t>(wide);
  return nullptr;
}

Status* read_ints(const Api* api, const KernelInfo* info, const char* name, int32_t* values,
                  size_t capacity, size_t* count) {
  int64_t wide[PM_MAX_JOINTS];
  size_t found = 0;
  // A null buffer asks for the length.
  PM_ORT_RETURN_IF_ERROR(
      KernelInfoGetAttributeArray_int64(api, info, name, static_cast<int64_t*>(nullptr), &found));
  if (found > capacity || found > PM_MAX_JOINTS || (*count != 0 && found != *count)) {
    return invalid(api, name, "attribute has the wrong number of entries");
  }
  PM_ORT_RETURN_IF_ERROR(
      KernelInfoGetAttributeArray_int64(api, info, name, static_cast<int64_t*>(wide), &found));
  for (size_t i = 0; i < found; ++i) {
    if (wide[i] < std::numeric_limits<int32_t>::min() ||
        wide[i] > std::numeric_limits<int32_t>::max()) {
      return invalid(api, name, "attribute out of range");
    }
    values[i] = static_cast<int32_t>(wide[i]);
  }
  *count = found;
  return nullptr;
}

Status* read_input(const Api* api, const KernelContext* context, size_t index, size_t rank,
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
    return invalid(api, op, message);
  }
  return GetTensorMutableData(api, const_cast<Value*>(value), &tensor->data);
}

namespace {
// Whether a question was answered; its error is thrown away.
bool succeeded(const Api* api, Status* error) {
  if (error != nullptr) ReleaseStatus(api, error);
  return error == nullptr;
}
}  // namespace

bool has_ints(const Api* api, const KernelInfo* info, const char* name) {
  size_t count = 0;
  return succeeded(api, KernelInfoGetAttributeArray_int64(api, info, name,
                                                          static_cast<int64_t*>(nullptr), &count));
}

bool has_int(const Api* api, const KernelInfo* info, const char* name) {
  int64_t value = 0;
  return succeeded(api, KernelInfoGetAttribute_int64(api, info, name, &value));
}

Status* read_optional(const Api* api, const KernelContext* context, size_t index, size_t rank,
                      const char* op, Tensor* tensor) {
  size_t inputs = 0;
  PM_ORT_RETURN_IF_ERROR(input_count(api, context, &inputs));
  *tensor = Tensor{};
  return index < inputs ? read_input(api, context, index, rank, op, tensor) : nullptr;
}

Status* input_count(const Api* api, const KernelContext* context, size_t* count) {
  return KernelContext_GetInputCount(api, context, count);
}

Status* first_input_is_empty(const Api* api, const KernelContext* context, bool* empty) {
  const Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetInput(api, context, size_t{0}, &value));
  TensorInfo* info = nullptr;
  PM_ORT_RETURN_IF_ERROR(GetTensorTypeAndShape(api, value, &info));
  std::array<int64_t, 4> dims{1, 1, 1, 1};
  size_t rank = 0;
  Status* error = GetDimensionsCount(api, static_cast<const TensorInfo*>(info), &rank);
  if (error == nullptr) {  // `bind` has seen that there are at most four axes
    error = GetDimensions(api, static_cast<const TensorInfo*>(info), dims.data(), rank);
  }
  ReleaseTensorTypeAndShapeInfo(api, info);
  *empty = dims[0] == 0 || dims[1] == 0 || dims[2] == 0 || dims[3] == 0;
  return error;
}

Status* make_output(const Api* api, KernelContext* context, size_t index,
                    const std::array<int64_t, 4>& dims, size_t rank, void** data) {
  Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetOutput(api, context, index, dims.data(), rank, &value));
  return GetTensorMutableData(api, value, data);
}

Status* make_optional_output(const Api* api, KernelContext* context, size_t index,
                             const std::array<int64_t, 4>& dims, size_t rank, void** data) {
  size_t outputs = 0;
  *data = nullptr;
  PM_ORT_RETURN_IF_ERROR(
      KernelContext_GetOutputCount(api, static_cast<const KernelContext*>(context), &outputs));
  if (index >= outputs) return nullptr;
  Value* value = nullptr;
  PM_ORT_RETURN_IF_ERROR(KernelContext_GetOutput(api, context, index, dims.data(), rank, &value));
  return value == nullptr ? nullptr : GetTensorMutableData(api, value, data);
}

Status* shape_of(const Api* api, ShapeInferContext* context, size_t input, size_t rank,
                 TensorInfo** info, int64_t* dims) {
  *info = nullptr;
  TensorInfo* found = nullptr;  // belongs to the context and is not ours to release
  size_t known = 0;
  PM_ORT_RETURN_IF_ERROR(ShapeInferContext_GetInputTypeShape(api, context, input, &found));
  PM_ORT_RETURN_IF_ERROR(GetDimensionsCount(api, static_cast<const TensorInfo*>(found), &known));
  if (known != rank) return nullptr;
  *info = found;
  return GetDimensions(api, static_cast<const TensorInfo*>(found), dims, rank);
}

Status* output_like_input(const Api* api, ShapeInferContext* context, size_t output, size_t input,
                          size_t rank) {
  TensorInfo* info = nullptr;
  std::array<int64_t, 4> dims{};
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, input, rank, &info, dims.data()));
  if (info == nullptr) return nullptr;
  return ShapeInferContext_SetOutputTypeShape(api, context, output, info);
}

Status* output_on_grid(const Api* api, ShapeInferContext* context, size_t output, size_t input,
                       int64_t channels, ElementType type) {
  TensorInfo* info = nullptr;  // the context's own copy, for us to change
  std::array<int64_t, 4> dims{};
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, input, dims.size(), &info, dims.data()));
  if (info == nullptr) return nullptr;
  dims[3] = channels;
  PM_ORT_RETURN_IF_ERROR(SetDimensions(api, info, dims.data(), dims.size()));
  PM_ORT_RETURN_IF_ERROR(SetTensorElementType(api, info, type));
  return ShapeInferContext_SetOutputTypeShape(api, context, output, info);
}

}  // namespace posemamba::ort
