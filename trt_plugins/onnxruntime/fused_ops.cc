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

bool Packed(const Tensor& t, int64_t outputs, int64_t inputs) {
  return t.Is({outputs / kTile, inputs / kTile, 32, 8});
}

}  // namespace

Status* Embed::InferShape(const Api* api, ShapeInferContext* context) {
  TensorInfo* weight = nullptr;
  std::array<int64_t, 2> dims{};
  PM_ORT_RETURN_IF_ERROR(ShapeOf(api, context, 1, dims.size(), &weight, dims.data()));
  if (weight == nullptr) return nullptr;
  PM_ORT_RETURN_IF_ERROR(OutputOnGrid(api, context, 0, 0, dims[0], kOrtFloat));
  return OutputOnGrid(api, context, 1, 0, 4 * dims[0], kOrtFloat16);
}

Status* Embed::Bind(KernelContext* context, Params* params) const {
  Tensor keypoints, weight, bias, joints, norm, in_proj;
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 0, 4, kName, &keypoints));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 2, 1, kName, &bias));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 3, 2, kName, &joints));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 4, 2, kName, &norm));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 5, 4, kName, &in_proj));
  const int64_t d = weight.dims[0];
  if (keypoints.dims[3] != 2 || !weight.Is({d, 2}) || !bias.Is({d}) ||
      !joints.Is({keypoints.dims[2], d}) || !norm.Is({2, d}) || !Packed(in_proj, 4 * d, d)) {
    return Invalid(api, kName, "the weights do not match each other or the joints");
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
  PM_ORT_RETURN_IF_ERROR(Output(api, context, 0, dims, 4, &stream));
  params->stream = static_cast<float*>(stream);
  dims[3] = 4 * d;
  return Output(api, context, 1, dims, 4, &params->next.xz);
}

Status* ConvProj::InferShape(const Api* api, ShapeInferContext* context) {
  TensorInfo *bias = nullptr, *projection = nullptr;
  int64_t channels = 0;
  std::array<int64_t, 4> packed{};
  PM_ORT_RETURN_IF_ERROR(ShapeOf(api, context, 2, 1, &bias, &channels));
  PM_ORT_RETURN_IF_ERROR(ShapeOf(api, context, 3, packed.size(), &projection, packed.data()));
  if (bias == nullptr || projection == nullptr) return nullptr;
  PM_ORT_RETURN_IF_ERROR(OutputOnGrid(api, context, 0, 0, channels, kOrtFloat16));
  return OutputOnGrid(api, context, 1, 0, packed[0] * kTile, kOrtFloat16);
}

Status* ConvProj::Bind(KernelContext* context, Params* params) const {
  Tensor xz, weight, bias, projection;
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 0, 4, kName, &xz));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 2, 1, kName, &bias));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, 3, 4, kName, &projection));
  const int64_t channels = bias.dims[0], columns = projection.dims[0] * kTile;
  if (!weight.Is({kTaps, channels}) || xz.dims[3] < channels ||
      !Packed(projection, columns, channels)) {
    return Invalid(api, kName, "weight, bias, projection and xz do not match each other");
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
  PM_ORT_RETURN_IF_ERROR(Output(api, context, 0, dims, 4, &params->u));
  dims[3] = columns;
  return Output(api, context, 1, dims, 4, &params->x_dbl);
}

Status* TailBase::Read(const KernelInfo* info) {
  scan.api = api;
  scan.dtype = dtype;
  PM_ORT_RETURN_IF_ERROR(scan.Read(info));
  PM_ORT_RETURN_IF_ERROR(ReadFloat(api, info, "out_epsilon", &out_epsilon));
  PM_ORT_RETURN_IF_ERROR(ReadFloat(api, info, "norm2_epsilon", &norm2_epsilon));
  PM_ORT_RETURN_IF_ERROR(ReadFloat(api, info, "shared_epsilon", &shared_epsilon));
  return ReadFloat(api, info, "next_epsilon", &next_epsilon);
}

Status* TailBase::BindTail(KernelContext* context, const char* op, Tensor* residual,
                           Params* params) const {
  Tensor u, x_dbl, xz, dt_weight, dt_bias, A, D, vectors, out_proj, fc1, fc2;
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kU, 4, op, &u));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kXDbl, 4, op, &x_dbl));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kXz, 4, op, &xz));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kResidual, 4, op, residual));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kDtWeight, 3, op, &dt_weight));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kDtBias, 2, op, &dt_bias));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kA, 3, op, &A));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kD, 2, op, &D));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kVectors, 1, op, &vectors));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kOutProj, 4, op, &out_proj));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kFc1, 4, op, &fc1));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kFc2, 4, op, &fc2));
  *params = Params{};
  PM_ORT_RETURN_IF_ERROR(scan.Fill(op, u, x_dbl, dt_weight, dt_bias, A, D, &params->scan));
  const int64_t d = residual->dims[3];
  auto grid = residual->dims;
  grid[3] = 2 * d;
  auto wide = residual->dims;
  wide[3] = 4 * d;
  if (u.dims != grid || xz.dims != wide || !vectors.Is({kVectorsOfWidth * d}) ||
      !Packed(out_proj, d, 2 * d) || !Packed(fc1, 2 * d, d) || !Packed(fc2, d, 2 * d)) {
    return Invalid(api, op, "the weights do not match u, xz and residual");
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
  PM_ORT_RETURN_IF_ERROR(Output(api, context, 0, residual->dims, 4, &stream));
  params->stream = static_cast<float*>(stream);
  return nullptr;
}

Status* BlockTail::InferShape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(OutputLikeInput(api, context, 0, kResidual, 4));
  return OutputLikeInput(api, context, 1, kXz, 4);
}

Status* BlockTail::Bind(KernelContext* context, Params* params) const {
  Tensor residual, in_proj, position;
  PM_ORT_RETURN_IF_ERROR(BindTail(context, kName, &residual, params));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kInProj, 4, kName, &in_proj));
  size_t inputs = 0;
  PM_ORT_RETURN_IF_ERROR(InputCount(api, context, &inputs));
  if (inputs > kPosition) {
    PM_ORT_RETURN_IF_ERROR(Input(api, context, kPosition, 2, kName, &position));
  }
  auto dims = residual.dims;
  const int64_t d = dims[3];
  const bool fits =
      position.data == nullptr || (position.dims[0] >= dims[1] && position.dims[1] == d);
  if (!Packed(in_proj, 4 * d, d) || !fits) {
    return Invalid(api, kName,
                   "in_proj must be [4 * d_model, d_model] packed, position [at least frames, "
                   "d_model]");
  }
  params->position = position.floats();
  params->next.in_proj = in_proj.data;
  dims[3] = 4 * d;
  return Output(api, context, 1, dims, 4, &params->next.xz);
}

Status* LastBlockTail::InferShape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(OutputLikeInput(api, context, 0, kResidual, 4));
  return OutputOnGrid(api, context, 1, kResidual, 3, kOrtFloat);
}

Status* LastBlockTail::Bind(KernelContext* context, Params* params) const {
  Tensor residual, weight, bias;
  PM_ORT_RETURN_IF_ERROR(BindTail(context, kName, &residual, params));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kHeadWeight, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(Input(api, context, kHeadBias, 1, kName, &bias));
  auto dims = residual.dims;
  if (!weight.Is({3, dims[3]}) || !bias.Is({3})) {
    return Invalid(api, kName, "head_weight must be [3, d_model], head_bias [3]");
  }
  params->next.head_weight = weight.floats();
  params->next.head_bias = bias.floats();
  dims[3] = 3;
  void* poses = nullptr;
  PM_ORT_RETURN_IF_ERROR(Output(api, context, 1, dims, 4, &poses));
  params->next.poses_3d = static_cast<float*>(poses);
  return nullptr;
}

}  // namespace posemamba::ort
