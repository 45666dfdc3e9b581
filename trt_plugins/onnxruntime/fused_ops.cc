#include "fused_ops.h"

namespace posemamba::ort {
namespace {

constexpr int64_t kTile = 16;            // packed matrices are cut into tiles of 16 x 16
constexpr int64_t kVectorsOfWidth = 17;  // pm_block_tail_params.vectors, in multiples of d_model
constexpr int64_t kTaps = 9;
constexpr size_t kHalfBytes = 2;

enum TailInput : size_t {
  kU,
  kXDbl,
  kXz,
  kResidual,
  kDtWeight,
  kDtBias,
  kA,
  kD,
  kVectors,
  kOutProj,
  kFc1,
  kFc2,
  kInProj,
  kPosition,  // of BlockTail
  kHeadWeight = kInProj,
  kHeadBias  // of LastBlockTail
};

bool packed(const Tensor& t, int64_t outputs, int64_t inputs) {
  return t.is({outputs / kTile, inputs / kTile, 32, 8});
}

}  // namespace

Status* Embed::infer_shape(const Api* api, ShapeInferContext* context) {
  TensorInfo* weight = nullptr;
  std::array<int64_t, 2> dims{};
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, 1, dims.size(), &weight, dims.data()));
  if (weight == nullptr) return nullptr;
  PM_ORT_RETURN_IF_ERROR(output_on_grid(api, context, 0, 0, dims[0], kOrtFloat));
  return output_on_grid(api, context, 1, 0, 4 * dims[0], kOrtFloat16);
}

Status* Embed::bind(KernelContext* context, Params* params) const {
  Tensor keypoints, weight, bias, joints, norm, in_proj;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &keypoints));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 3, 2, kName, &joints));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 4, 2, kName, &norm));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 5, 4, kName, &in_proj));
  const int64_t d = weight.dims[0];
  if (keypoints.dims[3] != 2 || !weight.is({d, 2}) || !bias.is({d}) ||
      !joints.is({keypoints.dims[2], d}) || !norm.is({2, d}) || !packed(in_proj, 4 * d, d)) {
    return invalid(api, kName, "the weights do not match each other or the joints");
  }
  *params = Params{};
  params->keypoints_2d = keypoints.floats();
  params->weight = weight.floats();
  params->bias = bias.floats();
  params->joint_position = joints.floats();
  params->next_norm = norm.floats();
  params->next.in_proj = in_proj.data;
  params->next.epsilon = epsilon;
  params->batch = keypoints.dims[0];
  params->frames = keypoints.dims[1];
  params->joints = static_cast<int32_t>(keypoints.dims[2]);
  params->d_model = static_cast<int32_t>(d);
  auto dims = keypoints.dims;
  dims[3] = d;
  void* stream = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, dims, 4, &stream));
  params->stream = static_cast<float*>(stream);
  dims[3] = 4 * d;
  return make_output(api, context, 1, dims, 4, &params->next.xz);
}

Status* ConvProj::infer_shape(const Api* api, ShapeInferContext* context) {
  TensorInfo *bias = nullptr, *projection = nullptr;
  int64_t channels = 0;
  std::array<int64_t, 4> packed{};
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, 2, 1, &bias, &channels));
  PM_ORT_RETURN_IF_ERROR(shape_of(api, context, 3, packed.size(), &projection, packed.data()));
  if (bias == nullptr || projection == nullptr) return nullptr;
  PM_ORT_RETURN_IF_ERROR(output_on_grid(api, context, 0, 0, channels, kOrtFloat16));
  return output_on_grid(api, context, 1, 0, packed[0] * kTile, kOrtFloat16);
}

Status* ConvProj::bind(KernelContext* context, Params* params) const {
  Tensor xz, weight, bias, projection;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 3, 4, kName, &projection));
  const int64_t channels = bias.dims[0], columns = projection.dims[0] * kTile;
  if (!weight.is({kTaps, channels}) || xz.dims[3] < channels ||
      !packed(projection, columns, channels)) {
    return invalid(api, kName, "weight, bias, projection and xz do not match each other");
  }
  *params = Params{};
  params->x = xz.data;
  params->weight = weight.floats();
  params->bias = bias.floats();
  params->projection = projection.data;
  params->batch = xz.dims[0];
  params->frames = xz.dims[1];
  params->x_stride = xz.dims[3];
  params->joints = static_cast<int32_t>(xz.dims[2]);
  params->channels = static_cast<int32_t>(channels);
  params->columns = static_cast<int32_t>(columns);
  auto dims = xz.dims;
  dims[3] = channels;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, dims, 4, &params->u));
  dims[3] = columns;
  return make_output(api, context, 1, dims, 4, &params->x_dbl);
}

Status* TailBase::read(const KernelInfo* info) {
  scan.api = api;
  scan.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(scan.read(info));
  PM_ORT_RETURN_IF_ERROR(read_float(api, info, "out_epsilon", &out_epsilon));
  PM_ORT_RETURN_IF_ERROR(read_float(api, info, "norm2_epsilon", &norm2_epsilon));
  PM_ORT_RETURN_IF_ERROR(read_float(api, info, "shared_epsilon", &shared_epsilon));
  return read_float(api, info, "next_epsilon", &next_epsilon);
}

Status* TailBase::bind_tail(KernelContext* context, const char* op, Tensor* residual,
                            Params* params) const {
  Tensor u, x_dbl, xz, dt_weight, dt_bias, A, D, vectors, out_proj, fc1, fc2;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kU, 4, op, &u));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXDbl, 4, op, &x_dbl));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXz, 4, op, &xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kResidual, 4, op, residual));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtWeight, 3, op, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kDtBias, 2, op, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kA, 3, op, &A));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kD, 2, op, &D));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kVectors, 1, op, &vectors));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kOutProj, 4, op, &out_proj));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kFc1, 4, op, &fc1));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kFc2, 4, op, &fc2));
  *params = Params{};
  PM_ORT_RETURN_IF_ERROR(scan.fill(op, u, x_dbl, dt_weight, dt_bias, A, D, &params->scan));
  const int64_t d = residual->dims[3];
  auto grid = residual->dims;
  grid[3] = 2 * d;
  auto wide = residual->dims;
  wide[3] = 4 * d;
  if (u.dims != grid || xz.dims != wide || !vectors.is({kVectorsOfWidth * d}) ||
      !packed(out_proj, d, 2 * d) || !packed(fc1, 2 * d, d) || !packed(fc2, d, 2 * d)) {
    return invalid(api, op, "the weights do not match u, xz and residual");
  }
  params->z = static_cast<const char*>(xz.data) + static_cast<size_t>(2 * d) * kHalfBytes;
  params->z_stride = 4 * d;
  params->vectors = vectors.floats();
  params->out_proj = out_proj.data;
  params->fc1 = fc1.data;
  params->fc2 = fc2.data;
  params->residual = residual->floats();
  params->d_model = static_cast<int32_t>(d);
  params->out_epsilon = out_epsilon;
  params->norm2_epsilon = norm2_epsilon;
  params->shared_epsilon = shared_epsilon;
  params->next.epsilon = next_epsilon;
  void* stream = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, residual->dims, 4, &stream));
  params->stream = static_cast<float*>(stream);
  return nullptr;
}

Status* BlockTail::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kResidual, 4));
  return output_like_input(api, context, 1, kXz, 4);
}

Status* BlockTail::bind(KernelContext* context, Params* params) const {
  Tensor residual, in_proj, position;
  PM_ORT_RETURN_IF_ERROR(bind_tail(context, kName, &residual, params));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kInProj, 4, kName, &in_proj));
  size_t inputs = 0;
  PM_ORT_RETURN_IF_ERROR(input_count(api, context, &inputs));
  if (inputs > kPosition) {
    PM_ORT_RETURN_IF_ERROR(read_input(api, context, kPosition, 2, kName, &position));
  }
  auto dims = residual.dims;
  const int64_t d = dims[3];
  const bool fits =
      position.data == nullptr || (position.dims[0] >= dims[1] && position.dims[1] == d);
  if (!packed(in_proj, 4 * d, d) || !fits) {
    return invalid(api, kName,
                   "in_proj must be [4 * d_model, d_model] packed, position [at least frames, "
                   "d_model]");
  }
  params->position = position.floats();
  params->next.in_proj = in_proj.data;
  dims[3] = 4 * d;
  return make_output(api, context, 1, dims, 4, &params->next.xz);
}

Status* LastBlockTail::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kResidual, 4));
  return output_on_grid(api, context, 1, kResidual, 3, kOrtFloat);
}

Status* LastBlockTail::bind(KernelContext* context, Params* params) const {
  Tensor residual, weight, bias;
  PM_ORT_RETURN_IF_ERROR(bind_tail(context, kName, &residual, params));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kHeadWeight, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kHeadBias, 1, kName, &bias));
  auto dims = residual.dims;
  if (!weight.is({3, dims[3]}) || !bias.is({3})) {
    return invalid(api, kName, "head_weight must be [3, d_model], head_bias [3]");
  }
  params->next.head_weight = weight.floats();
  params->next.head_bias = bias.floats();
  dims[3] = 3;
  void* poses = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 1, dims, 4, &poses));
  params->next.poses_3d = static_cast<float*>(poses);
  return nullptr;
}

}  // namespace posemamba::ort
