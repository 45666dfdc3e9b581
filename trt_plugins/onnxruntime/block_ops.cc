#include "block_ops.h"

namespace posemamba::ort {
namespace {

constexpr int64_t kTaps = 9;
constexpr size_t kHalfBytes = 2;

int64_t rows(const Tensor& t) { return t.dims[0] * t.dims[1] * t.dims[2]; }

bool same_grid(const Tensor& a, const Tensor& b) {
  return a.dims[0] == b.dims[0] && a.dims[1] == b.dims[1] && a.dims[2] == b.dims[2];
}

}  // namespace

Status* ConvSilu::infer_shape(const Api* api, ShapeInferContext* context) {
  TensorInfo *xz = nullptr, *bias = nullptr;
  ElementType type = kOrtFloat;
  int64_t channels = 0;
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, 2, 1, &bias, &channels));
  if (bias == nullptr) return nullptr;
  PM_ORT_RETURN_IF_ERROR(ShapeInferContext_GetInputTypeShape(api, context, size_t{0}, &xz));
  PM_ORT_RETURN_IF_ERROR(GetTensorElementType(api, xz, &type));
  return output_on_grid(api, context, 0, 0, channels, type);
}

Status* ConvSilu::bind(KernelContext* context, Params* params) const {
  Tensor xz, weight, bias;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &bias));
  const int64_t channels = bias.dims[0];
  if (!weight.is({kTaps, channels}) || xz.dims[3] < channels) {
    return invalid(api, kName,
                   "weight must be [9, channels], bias [channels], and xz [batch, frames, joints, "
                   "at least channels]");
  }
  *params = Params{};
  params->x = xz.data;
  params->weight = weight.floats();
  params->bias = bias.floats();
  params->batch = xz.dims[0];
  params->frames = xz.dims[1];
  params->x_stride = xz.dims[3];
  params->joints = static_cast<int32_t>(xz.dims[2]);
  params->channels = static_cast<int32_t>(channels);
  params->dtype = dtype;
  return make_output(api, context, 0, {xz.dims[0], xz.dims[1], xz.dims[2], channels}, 4,
                     &params->y);
}

Status* GatedNorm::bind(KernelContext* context, Params* params) const {
  Tensor y, xz, gamma, beta;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &y));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 4, kName, &xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &gamma));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 3, 1, kName, &beta));
  const int64_t channels = y.dims[3], width = xz.dims[3];
  if (!same_grid(y, xz) || width < channels || !gamma.is({channels}) || !beta.is({channels})) {
    return invalid(api, kName,
                   "xz must have the positions of y and at least its channels, gamma and beta must "
                   "be [channels]");
  }
  const size_t element = dtype == PM_FLOAT16 ? kHalfBytes : sizeof(float);
  *params = Params{};
  params->y = y.data;
  params->z = static_cast<const char*>(xz.data) + static_cast<size_t>(width - channels) * element;
  params->gamma = gamma.floats();
  params->beta = beta.floats();
  params->rows = rows(y);
  params->z_stride = width;
  params->channels = static_cast<int32_t>(channels);
  params->dtype = dtype;
  params->epsilon = epsilon;
  return make_output(api, context, 0, y.dims, y.rank, &params->out);
}

Status* AddNorm::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, 0, 4));
  return output_like_input(api, context, 1, 1, 4);
}

Status* AddNorm::read(const KernelInfo* info) {
  PM_ORT_RETURN_IF_ERROR(read_float(api, info, "epsilon", &epsilon));
  return read_float(api, info, "shared_epsilon", &shared_epsilon);
}

Status* AddNorm::bind(KernelContext* context, Params* params) const {
  Tensor residual, branch, gamma, beta, shared_gamma, shared_beta;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &residual));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 4, kName, &branch));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &gamma));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 3, 1, kName, &beta));
  size_t inputs = 0;
  PM_ORT_RETURN_IF_ERROR(input_count(api, context, &inputs));
  if (inputs == 5) return invalid(api, kName, "shared_gamma and shared_beta come together");
  const bool shared = inputs > 5;
  if (shared) {
    PM_ORT_RETURN_IF_ERROR(read_input(api, context, 4, 1, kName, &shared_gamma));
    PM_ORT_RETURN_IF_ERROR(read_input(api, context, 5, 1, kName, &shared_beta));
  }
  const int64_t channels = residual.dims[3];
  if (branch.dims != residual.dims || !gamma.is({channels}) || !beta.is({channels}) ||
      (shared && (!shared_gamma.is({channels}) || !shared_beta.is({channels})))) {
    return invalid(api, kName, "branch must have the shape of residual, the norms [channels]");
  }
  *params = Params{};
  params->residual = residual.floats();
  params->branch = branch.data;
  params->shared_gamma = shared_gamma.floats();
  params->shared_beta = shared_beta.floats();
  params->gamma = gamma.floats();
  params->beta = beta.floats();
  params->rows = rows(residual);
  params->channels = static_cast<int32_t>(channels);
  params->dtype = dtype;
  params->shared_epsilon = shared_epsilon;
  params->epsilon = epsilon;
  void* stream = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, residual.dims, residual.rank, &stream));
  params->stream = static_cast<float*>(stream);
  return make_output(api, context, 1, residual.dims, residual.rank, &params->out);
}

}  // namespace posemamba::ort
