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

}  // namespace

bool Embed::Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
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

void Embed::Point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
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

bool ConvProj::Shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason) {
  const nvinfer1::Dims& xz = inputs[kXz];
  const int64_t channels = inputs[kBias].d[0], columns = inputs[kProjection].d[0] * kTile;
  if (!countable(xz, reason) || !known_width(channels / 2, reason) ||
      !match(kInputs[kXz], xz, {xz.d[0], xz.d[1], xz.d[2], 2 * channels}, reason) ||
      !match(kInputs[kBias], inputs[kBias], {channels / 2 * 2}, reason) ||
      !match(kInputs[kWeight], inputs[kWeight], {kTaps, channels}, reason) ||
      !in_limit("columns of projection", columns,
                PM_MAX_DIRECTIONS * (PM_MAX_DT_RANK + 2 * PM_MAX_STATE), reason) ||
      !packed(kInputs[kProjection], inputs[kProjection], columns, channels, reason)) {
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

void ConvProj::Point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                     Params* params) {
  params->x = inputs[kXz];
  params->weight = floats(inputs[kWeight]);
  params->bias = floats(inputs[kBias]);
  params->projection = inputs[kProjection];
  params->u = outputs[0];
  params->x_dbl = outputs[1];
}

bool TailBase::shape_common(const Attribute* attributes, const Shapes& inputs, Params* params,
                            Reason* reason) {
  const nvinfer1::Dims& grid = inputs[kResidual];
  const int64_t d = grid.d[3];
  const nvinfer1::Dims of_scan[CrossSelectiveScan::kInputCount] = {
      inputs[kU], inputs[kXDbl], inputs[kDtWeight], inputs[kDtBias], inputs[kA], inputs[kD]};
  if (!countable(grid, reason) || !known_width(d, reason) ||
      !match(kCommon[kU], inputs[kU], {grid.d[0], grid.d[1], grid.d[2], 2 * d}, reason) ||
      !match(kCommon[kXz], inputs[kXz], {grid.d[0], grid.d[1], grid.d[2], 4 * d}, reason) ||
      !match(kCommon[kVectors], inputs[kVectors], {kVectorsOfWidth * d}, reason) ||
      !packed(kCommon[kOutProj], inputs[kOutProj], d, 2 * d, reason) ||
      !packed(kCommon[kFc1], inputs[kFc1], 2 * d, d, reason) ||
      !packed(kCommon[kFc2], inputs[kFc2], d, 2 * d, reason) ||
      !CrossSelectiveScan::Shape(attributes, {of_scan, CrossSelectiveScan::kInputCount},
                                 &params->scan, reason)) {
    return false;
  }
  params->scan.dtype = PM_FLOAT16;
  params->z_stride = 4 * d;
  params->d_model = static_cast<int32_t>(d);
  params->out_epsilon = attributes[kOutEpsilon].real;
  params->norm2_epsilon = attributes[kNorm2Epsilon].real;
  params->shared_epsilon = attributes[kSharedEpsilon].real;
  params->next.epsilon = attributes[kNextEpsilon].real;
  return true;
}

void TailBase::point_common(const void* const* inputs, void* const* outputs, Params* params) {
  pm_cross_scan_params& scan = params->scan;
  scan.x = inputs[kU];
  scan.x_dbl = inputs[kXDbl];
  scan.dt_weight = floats(inputs[kDtWeight]);
  scan.dt_bias = floats(inputs[kDtBias]);
  scan.A = floats(inputs[kA]);
  scan.D = floats(inputs[kD]);
  const auto before_z = static_cast<size_t>(params->z_stride / 2);
  params->z = static_cast<const char*>(inputs[kXz]) + before_z * kHalfBytes;
  params->vectors = floats(inputs[kVectors]);
  params->out_proj = inputs[kOutProj];
  params->fc1 = inputs[kFc1];
  params->fc2 = inputs[kFc2];
  params->residual = floats(inputs[kResidual]);
  params->stream = static_cast<float*>(outputs[0]);
}

bool BlockTail::Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                      Reason* reason) {
  if (!shape_common(attributes, inputs, params, reason)) return false;
  const int64_t d = params->d_model, frames = params->scan.frames;
  if (inputs.has(kPosition)) {
    const nvinfer1::Dims& position = inputs[kPosition];
    if (!match(kInputs[kPosition], position, {position.d[0], d}, reason)) return false;
    if (position.d[0] < frames) {
      return reason->refuse("input 'position' has %lld frames, the clip %lld",
                            static_cast<long long>(position.d[0]), static_cast<long long>(frames));
    }
  }
  return packed(kInputs[kInProj], inputs[kInProj], 4 * d, d, reason);
}

void BlockTail::Point(const Attribute*, const void* const* inputs, int32_t count,
                      void* const* outputs, Params* params) {
  point_common(inputs, outputs, params);
  params->next.in_proj = inputs[kInProj];
  params->position = count > kPosition ? floats(inputs[kPosition]) : nullptr;
  params->next.xz = outputs[1];
}

bool LastBlockTail::Shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                          Reason* reason) {
  return shape_common(attributes, inputs, params, reason) &&
         match(kInputs[kHeadWeight], inputs[kHeadWeight], {kPoseSizes, params->d_model}, reason) &&
         match(kInputs[kHeadBias], inputs[kHeadBias], {kPoseSizes}, reason);
}

void LastBlockTail::Point(const Attribute*, const void* const* inputs, int32_t,
                          void* const* outputs, Params* params) {
  point_common(inputs, outputs, params);
  params->next.head_weight = floats(inputs[kHeadWeight]);
  params->next.head_bias = floats(inputs[kHeadBias]);
  params->next.poses_3d = static_cast<float*>(outputs[1]);
}

}  // namespace posemamba::trt
