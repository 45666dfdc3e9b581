#include "fused_ops.h"

namespace posemamba::trt {
namespace {

constexpr int64_t kTile = 16;  // packed matrices are cut into tiles of 16 x 16
constexpr int64_t kLanes = 32, kLaneElements = 8;
constexpr int64_t kVectorsOfWidth = 17;  // pm_block_tail_params.vectors, in multiples of d_model
constexpr int64_t kTaps = 9;
constexpr int64_t kKeypointSizes = 2, kPoseSizes = 3;
constexpr int64_t kMaxBatch = 65535;
constexpr size_t kHalfBytes = 2;

const float* floats(const void* data) { return static_cast<const float*>(data); }

// Whether an input is a packed matrix of these sizes.
bool packed(const Input& input, const nvinfer1::Dims& dims, int64_t outputs, int64_t columns,
            Reason* reason) {
  return match(input, dims, {outputs / kTile, columns / kTile, kLanes, kLaneElements}, reason);
}

bool known_width(int64_t d_model, Reason* reason) {
  return pm_fused_width(d_model) != 0 ||
         reason->refuse("d_model is %lld, which the fused kernels are not compiled for",
                        static_cast<long long>(d_model));
}

// What the kernels count positions in.
bool countable(const nvinfer1::Dims& grid, Reason* reason) {
  return in_limit("batch", grid.d[0], kMaxBatch, reason) &&
         in_limit("joints", grid.d[2], PM_MAX_JOINTS, reason) &&
         in_limit("frames", grid.d[1], INT32_MAX / grid.d[2] / 2, reason);
}

// The convolution's sizes from those of xz, weight, bias and projection, which `names` holds.
bool shape_conv(const Input (&names)[4], const nvinfer1::Dims (&dims)[4],
                pm_conv_proj_params* params, Reason* reason) {
  const auto& [xz, weight, bias, projection] = dims;
  const int64_t channels = bias.d[0], columns = projection.d[0] * kTile;
  if (!countable(xz, reason) || !known_width(channels / 2, reason) ||
      !match(names[0], xz, {xz.d[0], xz.d[1], xz.d[2], 2 * channels}, reason) ||
      !match(names[2], bias, {channels / 2 * 2}, reason) ||
      !match(names[1], weight, {kTaps, channels}, reason) ||
      !in_limit("columns of projection", columns,
                PM_MAX_DIRECTIONS * (PM_MAX_DT_RANK + 2 * PM_MAX_STATE), reason) ||
      !packed(names[3], projection, columns, channels, reason)) {
    return false;
  }
  params->batch = xz.d[0];
  params->frames = xz.d[1];
  params->x_stride = xz.d[3];
  params->joints = static_cast<int32_t>(xz.d[2]);
  params->channels = static_cast<int32_t>(channels);
  params->columns = static_cast<int32_t>(columns);
  return true;
}

}  // namespace

bool Embed::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                  Reason* reason) {
  const nvinfer1::Dims& grid = inputs[kKeypoints];
  const int64_t d = inputs[kWeight].d[0];
  if (!match(kInputs[kKeypoints], grid, {grid.d[0], grid.d[1], grid.d[2], kKeypointSizes},
             reason) ||
      !countable(grid, reason) || !known_width(d, reason) ||
      !match(kInputs[kWeight], inputs[kWeight], {d, kKeypointSizes}, reason) ||
      !match(kInputs[kBias], inputs[kBias], {d}, reason) ||
      !match(kInputs[kJointPosition], inputs[kJointPosition], {grid.d[2], d}, reason) ||
      !match(kInputs[kNextNorm], inputs[kNextNorm], {2, d}, reason) ||
      !packed(kInputs[kInProj], inputs[kInProj], 4 * d, d, reason)) {
    return false;
  }
  params->batch = grid.d[0];
  params->frames = grid.d[1];
  params->joints = static_cast<int32_t>(grid.d[2]);
  params->d_model = static_cast<int32_t>(d);
  params->next.epsilon = attributes[kEpsilon].real;
  return true;
}

void Embed::point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                  Params* params) {
  params->keypoints_2d = floats(inputs[kKeypoints]);
  params->weight = floats(inputs[kWeight]);
  params->bias = floats(inputs[kBias]);
  params->joint_position = floats(inputs[kJointPosition]);
  params->next_norm = floats(inputs[kNextNorm]);
  params->next.in_proj = inputs[kInProj];
  params->stream = static_cast<float*>(outputs[0]);
  params->next.xz = outputs[1];
}

bool ConvProj::shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason) {
  return shape_conv(kInputs, {inputs[kXz], inputs[kWeight], inputs[kBias], inputs[kProjection]},
                    params, reason);
}

void ConvProj::point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                     Params* params) {
  params->x = inputs[kXz];
  params->weight = floats(inputs[kWeight]);
  params->bias = floats(inputs[kBias]);
  params->projection = inputs[kProjection];
  params->u = outputs[0];
  params->x_dbl = outputs[1];
}

bool TailBase::shape_tail(const Attribute* attributes, const Grids& grids, const Shapes& weights,
                          pm_block_tail_params* params, Reason* reason) {
  const nvinfer1::Dims& grid = grids.residual;
  const int64_t d = grid.d[3];
  const nvinfer1::Dims of_scan[CrossSelectiveScan::kInputCount] = {
      grids.u, grids.x_dbl, weights[kDtWeight], weights[kDtBias], weights[kA], weights[kD]};
  params->scan.dtype = PM_FLOAT16;
  constexpr Input kXz{"xz", Type::kHalf, 4}, kU{"u", Type::kHalf, 4};
  if (!countable(grid, reason) || !known_width(d, reason) ||
      !match(kXz, grids.xz, {grid.d[0], grid.d[1], grid.d[2], 4 * d}, reason) ||
      !match(kU, grids.u, {grid.d[0], grid.d[1], grid.d[2], 2 * d}, reason) ||
      !match(kWeightInputs[kVectors], weights[kVectors], {kVectorsOfWidth * d}, reason) ||
      !packed(kWeightInputs[kOutProj], weights[kOutProj], d, 2 * d, reason) ||
      !packed(kWeightInputs[kFc1], weights[kFc1], 2 * d, d, reason) ||
      !packed(kWeightInputs[kFc2], weights[kFc2], d, 2 * d, reason) ||
      !CrossSelectiveScan::shape(attributes, {of_scan, CrossSelectiveScan::kInputCount},
                                 &params->scan, reason)) {
    return false;
  }
  params->z_stride = 4 * d;
  params->d_model = static_cast<int32_t>(d);
  params->out_epsilon = attributes[kOutEpsilon].real;
  params->norm2_epsilon = attributes[kNorm2Epsilon].real;
  params->shared_epsilon = attributes[kSharedEpsilon].real;
  params->next.epsilon = attributes[kNextEpsilon].real;
  return true;
}

bool TailBase::shape_next(const Shapes& next, const pm_block_tail_params& params, Reason* reason) {
  const int64_t d = params.d_model, frames = params.scan.frames;
  if (next.has(kPosition)) {
    const nvinfer1::Dims& position = next[kPosition];
    if (!match(kNextInputs[kPosition], position, {position.d[0], d}, reason)) return false;
    if (position.d[0] < frames) {
      return reason->refuse("input 'position' has %lld frames, the clip %lld",
                            static_cast<long long>(position.d[0]), static_cast<long long>(frames));
    }
  }
  return packed(kNextInputs[kInProj], next[kInProj], 4 * d, d, reason);
}

bool TailBase::shape_head(const Shapes& head, const pm_block_tail_params& params, Reason* reason) {
  return match(kHeadInputs[kHeadWeight], head[kHeadWeight], {kPoseSizes, params.d_model}, reason) &&
         match(kHeadInputs[kHeadBias], head[kHeadBias], {kPoseSizes}, reason);
}

void TailBase::point_tail(const void* xz, const void* residual, const void* const* weights,
                          void* stream, pm_block_tail_params* params) {
  pm_cross_scan_params& scan = params->scan;
  scan.dt_weight = floats(weights[kDtWeight]);
  scan.dt_bias = floats(weights[kDtBias]);
  scan.A = floats(weights[kA]);
  scan.D = floats(weights[kD]);
  const auto before_z = static_cast<size_t>(params->z_stride / 2);
  params->z = static_cast<const char*>(xz) + before_z * kHalfBytes;
  params->vectors = floats(weights[kVectors]);
  params->out_proj = weights[kOutProj];
  params->fc1 = weights[kFc1];
  params->fc2 = weights[kFc2];
  params->residual = floats(residual);
  params->stream = static_cast<float*>(stream);
}

void TailBase::point_next(const void* const* next, int32_t count, void* xz,
                          pm_block_tail_params* params) {
  params->next.in_proj = next[kInProj];
  params->position = count > kPosition ? floats(next[kPosition]) : nullptr;
  params->next.xz = xz;
}

void TailBase::point_head(const void* const* head, void* poses_3d, pm_block_tail_params* params) {
  params->next.head_weight = floats(head[kHeadWeight]);
  params->next.head_bias = floats(head[kHeadBias]);
  params->next.poses_3d = static_cast<float*>(poses_3d);
}

bool Tail::shape_common(const Attribute* attributes, const Shapes& inputs, Params* params,
                        Reason* reason) {
  return shape_tail(attributes, {inputs[kU], inputs[kXDbl], inputs[kXz], inputs[kResidual]},
                    inputs.from(kFirstWeight), params, reason);
}

void Tail::point_common(const void* const* inputs, void* const* outputs, Params* params) {
  params->scan.x = inputs[kU];
  params->scan.x_dbl = inputs[kXDbl];
  point_tail(inputs[kXz], inputs[kResidual], inputs + kFirstWeight, outputs[0], params);
}

bool WholeBlock::shape_common(const Attribute* attributes, const Shapes& inputs, Params* params,
                              Reason* reason) {
  const Input names[] = {kCommon[kXz], kCommon[kConvWeight], kCommon[kConvBias],
                         kCommon[kProjection]};
  if (!shape_conv(names, {inputs[kXz], inputs[kConvWeight], inputs[kConvBias], inputs[kProjection]},
                  &params->conv, reason)) {
    return false;
  }
  nvinfer1::Dims u = inputs[kXz], x_dbl = inputs[kXz];
  u.d[3] = params->conv.channels;
  x_dbl.d[3] = params->conv.columns;
  return shape_tail(attributes, {u, x_dbl, inputs[kXz], inputs[kResidual]},
                    inputs.from(kFirstWeight), &params->tail, reason);
}

void WholeBlock::point_common(const void* const* inputs, void* const* outputs, Params* params) {
  pm_conv_proj_params& conv = params->conv;
  conv.x = inputs[kXz];
  conv.weight = floats(inputs[kConvWeight]);
  conv.bias = floats(inputs[kConvBias]);
  conv.projection = inputs[kProjection];
  point_tail(inputs[kXz], inputs[kResidual], inputs + kFirstWeight, outputs[0], &params->tail);
}

}  // namespace posemamba::trt
