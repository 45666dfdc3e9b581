#include "block_ops.h"

namespace posemamba::trt {
namespace {

constexpr int64_t kTaps = 9;
constexpr int64_t kQuad = 4;  // elements a thread reads at once
constexpr size_t kHalfBytes = 2;

const float* floats(const void* data) { return static_cast<const float*>(data); }

int64_t rows_of(const nvinfer1::Dims& dims) { return dims.d[0] * dims.d[1] * dims.d[2]; }

// Channels the kernels of the norms take.
bool in_norms(int64_t channels, Reason* reason) {
  return in_limit("the norm's width", channels, PM_MAX_NORM_CHANNELS, reason) &&
         in_multiples("the norm's width", channels, kQuad, reason);
}

}  // namespace

bool ConvSilu::shape(const Attribute*, const Shapes& inputs, Params* params, Reason* reason) {
  const nvinfer1::Dims& xz = inputs[kXz];
  const int64_t channels = inputs[kBias].d[0], width = xz.d[3];
  if (!match(kInputs[kWeight], inputs[kWeight], {kTaps, channels}, reason) ||
      !in_limit("channels", channels, width, reason) ||
      !in_multiples("channels", channels, kQuad, reason) ||
      !in_multiples("the width of xz", width, kQuad, reason) ||
      !in_limit("joints", xz.d[2], INT32_MAX / width, reason) ||
      !in_limit("frames", xz.d[1], INT32_MAX / width / xz.d[2], reason)) {
    return false;
  }
  params->batch = xz.d[0];
  params->frames = xz.d[1];
  params->x_stride = width;
  params->joints = static_cast<int32_t>(xz.d[2]);
  params->channels = static_cast<int32_t>(channels);
  return true;
}

void ConvSilu::point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                     Params* params) {
  params->x = inputs[kXz];
  params->weight = floats(inputs[kWeight]);
  params->bias = floats(inputs[kBias]);
  params->y = outputs[0];
}

bool GatedNorm::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                      Reason* reason) {
  const nvinfer1::Dims &y = inputs[kY], &xz = inputs[kXz];
  const int64_t channels = y.d[3], width = xz.d[3];
  if (!match(kInputs[kXz], xz, {y.d[0], y.d[1], y.d[2], width}, reason) ||
      !match(kInputs[kGamma], inputs[kGamma], {channels}, reason) ||
      !match(kInputs[kBeta], inputs[kBeta], {channels}, reason) || !in_norms(channels, reason) ||
      !in_limit("channels", channels, width, reason) ||
      !in_multiples("the width of xz", width, kQuad, reason)) {
    return false;
  }
  params->rows = rows_of(y);
  params->z_stride = width;
  params->channels = static_cast<int32_t>(channels);
  params->epsilon = attributes[kEpsilon].real;
  return true;
}

void GatedNorm::point(const Attribute*, const void* const* inputs, int32_t, void* const* outputs,
                      Params* params) {
  const size_t element = params->dtype == PM_FLOAT16 ? kHalfBytes : sizeof(float);
  const auto before = static_cast<size_t>(params->z_stride - params->channels);
  params->y = inputs[kY];
  params->z = static_cast<const char*>(inputs[kXz]) + before * element;
  params->gamma = floats(inputs[kGamma]);
  params->beta = floats(inputs[kBeta]);
  params->out = outputs[0];
}

bool AddNorm::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                    Reason* reason) {
  const nvinfer1::Dims& stream = inputs[kResidual];
  const int64_t channels = stream.d[3];
  if (inputs.has(kSharedGamma) != inputs.has(kSharedBeta)) {
    return reason->refuse("inputs 'shared_gamma' and 'shared_beta' come together");
  }
  for (int32_t i = kGamma; i < inputs.count; ++i) {
    if (!match(kInputs[i], inputs[i], {channels}, reason)) return false;
  }
  if (!match(kInputs[kBranch], inputs[kBranch], {stream.d[0], stream.d[1], stream.d[2], channels},
             reason) ||
      !in_norms(channels, reason)) {
    return false;
  }
  params->rows = rows_of(stream);
  params->channels = static_cast<int32_t>(channels);
  params->epsilon = attributes[kEpsilon].real;
  params->shared_epsilon = attributes[kSharedEpsilon].real;
  return true;
}

void AddNorm::point(const Attribute*, const void* const* inputs, int32_t count,
                    void* const* outputs, Params* params) {
  params->residual = floats(inputs[kResidual]);
  params->branch = inputs[kBranch];
  params->gamma = floats(inputs[kGamma]);
  params->beta = floats(inputs[kBeta]);
  params->shared_gamma = count > kSharedGamma ? floats(inputs[kSharedGamma]) : nullptr;
  params->shared_beta = count > kSharedBeta ? floats(inputs[kSharedBeta]) : nullptr;
  params->stream = static_cast<float*>(outputs[0]);
  params->out = outputs[1];
}

}  // namespace posemamba::trt
