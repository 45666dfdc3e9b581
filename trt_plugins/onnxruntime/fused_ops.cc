#include "fused_ops.h"

namespace posemamba::ort {
namespace {

constexpr int64_t kTile = 16;            // packed matrices are cut into tiles of 16 x 16
constexpr int64_t kVectorsOfWidth = 17;  // pm_block_tail_params.vectors, in multiples of d_model
constexpr int64_t kTaps = 9;
constexpr size_t kHalfBytes = 2;

// Of a tail; the weights follow, then what is after the stream.
enum TailInput : size_t { kU, kXDbl, kXz, kResidual, kTailWeights };
// Of a whole block.
enum BlockInput : size_t {
  kBlockXz,
  kBlockResidual,
  kConvWeight,
  kConvBias,
  kProjection,
  kBlockWeights
};
// From the first weight on; a scan has four.
enum Weight : size_t { kScanWeights, kVectors = 4, kOutProj, kFc1, kFc2, kNext };

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

namespace {

// Everything of ConvProj but where its outputs go.
Status* fill_conv_proj(const Api* api, const char* op, const Tensor& xz, const Tensor& weight,
                       const Tensor& bias, const Tensor& projection, pm_conv_proj_params* params) {
  const int64_t channels = bias.dims[0], columns = projection.dims[0] * kTile;
  if (!weight.is({kTaps, channels}) || xz.dims[3] < channels ||
      !packed(projection, columns, channels)) {
    return invalid(api, op, "weight, bias, projection and xz do not match each other");
  }
  *params = pm_conv_proj_params{};
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
  return nullptr;
}

}  // namespace

Status* ConvProj::bind(KernelContext* context, Params* params) const {
  Tensor xz, weight, bias, projection;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 0, 4, kName, &xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 1, 2, kName, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 2, 1, kName, &bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, 3, 4, kName, &projection));
  PM_ORT_RETURN_IF_ERROR(fill_conv_proj(api, kName, xz, weight, bias, projection, params));
  auto dims = xz.dims;
  dims[3] = params->channels;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, dims, 4, &params->u));
  dims[3] = params->columns;
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

Status* TailBase::read_activations(KernelContext* context, const char* op,
                                   Activations* given) const {
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kU, 4, op, &given->u));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXDbl, 4, op, &given->x_dbl));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kXz, 4, op, &given->xz));
  return read_input(api, context, kResidual, 4, op, &given->residual);
}

Status* TailBase::bind_tail(KernelContext* context, const char* op, const Activations& given,
                            size_t first, pm_block_tail_params* params) const {
  const auto& [u, x_dbl, xz, residual] = given;
  CrossTensors scanned;
  scanned.x = u;
  scanned.x_dbl = x_dbl;
  PM_ORT_RETURN_IF_ERROR(scanned.read_weights(api, context, op, first + kScanWeights));
  Tensor vectors, out_proj, fc1, fc2;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + kVectors, 1, op, &vectors));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + kOutProj, 4, op, &out_proj));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + kFc1, 4, op, &fc1));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + kFc2, 4, op, &fc2));
  *params = pm_block_tail_params{};
  PM_ORT_RETURN_IF_ERROR(scan.fill(op, scanned, &params->scan));
  const int64_t d = residual.dims[3];
  auto grid = residual.dims;
  grid[3] = 2 * d;
  auto wide = residual.dims;
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
  params->residual = residual.floats();
  params->d_model = static_cast<int32_t>(d);
  params->out_epsilon = out_epsilon;
  params->norm2_epsilon = norm2_epsilon;
  params->shared_epsilon = shared_epsilon;
  params->next.epsilon = next_epsilon;
  void* stream = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 0, residual.dims, 4, &stream));
  params->stream = static_cast<float*>(stream);
  return nullptr;
}

Status* TailBase::bind_in_proj(KernelContext* context, const char* op, const Tensor& residual,
                               size_t first, pm_block_tail_params* params) const {
  Tensor in_proj, position;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first, 4, op, &in_proj));
  PM_ORT_RETURN_IF_ERROR(read_optional(api, context, first + 1, 2, op, &position));
  auto dims = residual.dims;
  const int64_t d = dims[3];
  const bool fits =
      position.data == nullptr || (position.dims[0] >= dims[1] && position.dims[1] == d);
  if (!packed(in_proj, 4 * d, d) || !fits) {
    return invalid(api, op,
                   "in_proj must be [4 * d_model, d_model] packed, position [at least frames, "
                   "d_model]");
  }
  params->position = position.floats();
  params->next.in_proj = in_proj.data;
  dims[3] = 4 * d;
  return make_output(api, context, 1, dims, 4, &params->next.xz);
}

Status* TailBase::bind_head(KernelContext* context, const char* op, const Tensor& residual,
                            size_t first, pm_block_tail_params* params) const {
  Tensor weight, bias;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first, 2, op, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, first + 1, 1, op, &bias));
  auto dims = residual.dims;
  if (!weight.is({3, dims[3]}) || !bias.is({3})) {
    return invalid(api, op, "head_weight must be [3, d_model], head_bias [3]");
  }
  params->next.head_weight = weight.floats();
  params->next.head_bias = bias.floats();
  dims[3] = 3;
  void* poses = nullptr;
  PM_ORT_RETURN_IF_ERROR(make_output(api, context, 1, dims, 4, &poses));
  params->next.poses_3d = static_cast<float*>(poses);
  return nullptr;
}

Status* BlockTail::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kResidual, 4));
  return output_like_input(api, context, 1, kXz, 4);
}

Status* BlockTail::bind(KernelContext* context, Params* params) const {
  Activations given;
  PM_ORT_RETURN_IF_ERROR(read_activations(context, kName, &given));
  PM_ORT_RETURN_IF_ERROR(bind_tail(context, kName, given, kTailWeights, params));
  return bind_in_proj(context, kName, given.residual, kTailWeights + kNext, params);
}

Status* LastBlockTail::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kResidual, 4));
  return output_on_grid(api, context, 1, kResidual, 3, kOrtFloat);
}

Status* LastBlockTail::bind(KernelContext* context, Params* params) const {
  Activations given;
  PM_ORT_RETURN_IF_ERROR(read_activations(context, kName, &given));
  PM_ORT_RETURN_IF_ERROR(bind_tail(context, kName, given, kTailWeights, params));
  return bind_head(context, kName, given.residual, kTailWeights + kNext, params);
}

Status* BlockBase::bind_block(KernelContext* context, const char* op, Tensor* residual,
                              Params* params) const {
  Activations given;
  Tensor weight, bias, projection;
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kBlockXz, 4, op, &given.xz));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kBlockResidual, 4, op, &given.residual));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kConvWeight, 2, op, &weight));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kConvBias, 1, op, &bias));
  PM_ORT_RETURN_IF_ERROR(read_input(api, context, kProjection, 4, op, &projection));
  PM_ORT_RETURN_IF_ERROR(
      fill_conv_proj(api, op, given.xz, weight, bias, projection, &params->conv));
  given.u.rank = given.x_dbl.rank = given.xz.rank;
  given.u.dims = given.x_dbl.dims = given.xz.dims;
  given.u.dims[3] = params->conv.channels;
  given.x_dbl.dims[3] = params->conv.columns;
  *residual = given.residual;
  return bind_tail(context, op, given, kBlockWeights, &params->tail);
}

Status* Block::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kBlockResidual, 4));
  return output_like_input(api, context, 1, kBlockXz, 4);
}

Status* Block::bind(KernelContext* context, Params* params) const {
  Tensor residual;
  PM_ORT_RETURN_IF_ERROR(bind_block(context, kName, &residual, params));
  return bind_in_proj(context, kName, residual, kBlockWeights + kNext, &params->tail);
}

Status* LastBlock::infer_shape(const Api* api, ShapeInferContext* context) {
  PM_ORT_RETURN_IF_ERROR(output_like_input(api, context, 0, kBlockResidual, 4));
  return output_on_grid(api, context, 1, kBlockResidual, 3, kOrtFloat);
}

Status* LastBlock::bind(KernelContext* context, Params* params) const {
  Tensor residual;
  PM_ORT_RETURN_IF_ERROR(bind_block(context, kName, &residual, params));
  return bind_head(context, kName, residual, kBlockWeights + kNext, &params->tail);
}

}  // namespace posemamba::ort
