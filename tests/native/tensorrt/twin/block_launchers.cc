// The block's launchers over host memory, for a plugin's twin: they compute nothing. Each output is
// a digest of every parameter and of every byte that the launcher may read, so that two calls agree
// bit for bit where they were handed the same, and nowhere else.
#include <cstring>
#include <initializer_list>

#include "posemamba/block_cuda.h"
#include "posemamba/scan_cuda.h"

namespace {

constexpr int64_t kFloat = 4, kHalf = 2;

int64_t size_of(int32_t dtype) { return dtype == PM_FLOAT16 ? kHalf : kFloat; }

struct Digest {
  uint64_t value = 1469598103934665603u;  // FNV-1a
  bool complete = true;

  void bytes(const void* data, int64_t count) {
    const auto* all = static_cast<const unsigned char*>(data);
    for (int64_t i = 0; i < count; ++i) value = (value ^ all[i]) * 1099511628211u;
  }
  Digest& number(double one) {
    bytes(&one, sizeof one);
    return *this;
  }
  Digest& input(const void* data, int64_t count) {
    complete = complete && data != nullptr;
    if (data != nullptr) bytes(data, count);
    return *this;
  }
  Digest& optional(const void* data, int64_t count) {
    return data == nullptr ? number(-1) : input(data, count);
  }
  // Rows of `row` bytes that begin `stride` bytes apart.
  Digest& rows(const void* data, int64_t count, int64_t row, int64_t stride) {
    for (int64_t i = 0; data != nullptr && i < count; ++i) {
      bytes(static_cast<const char*>(data) + i * stride, row);
    }
    complete = complete && data != nullptr;
    return *this;
  }

  struct Output {
    void* data;
    int64_t bytes;
  };
  cudaError_t write(std::initializer_list<Output> outputs) {
    for (const Output& one : outputs) complete = complete && one.data != nullptr;
    if (!complete) return cudaErrorInvalidValue;
    for (const Output& one : outputs) {
      for (int64_t i = 0; i < one.bytes; ++i) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        static_cast<unsigned char*>(one.data)[i] = static_cast<unsigned char>(value >> 56);
      }
    }
    return cudaSuccess;
  }
};

}  // namespace

extern "C" {

cudaError_t pm_cuda_conv_silu(const pm_conv_silu_params* p, cudaStream_t) {
  const int64_t positions = p->batch * p->frames * p->joints, element = size_of(p->dtype);
  Digest d;
  d.number(static_cast<double>(p->batch)).number(static_cast<double>(p->frames));
  d.number(p->joints).number(p->channels).number(p->dtype);
  d.rows(p->x, positions, p->channels * element, p->x_stride * element);
  d.input(p->weight, 9 * p->channels * kFloat).input(p->bias, p->channels * kFloat);
  return d.write({{p->y, positions * p->channels * element}});
}

cudaError_t pm_cuda_gated_norm(const pm_gated_norm_params* p, cudaStream_t) {
  const int64_t row = p->channels * size_of(p->dtype);
  Digest d;
  d.number(p->epsilon).number(p->channels).number(p->dtype);
  d.input(p->y, p->rows * row).rows(p->z, p->rows, row, p->z_stride * size_of(p->dtype));
  d.input(p->gamma, p->channels * kFloat).input(p->beta, p->channels * kFloat);
  return d.write({{p->out, p->rows * row}});
}

cudaError_t pm_cuda_add_norm(const pm_add_norm_params* p, cudaStream_t) {
  const int64_t vector = p->channels * kFloat, branch = p->channels * size_of(p->dtype);
  Digest d;
  d.number(p->epsilon).number(p->shared_epsilon).number(p->channels).number(p->dtype);
  d.input(p->residual, p->rows * vector).input(p->branch, p->rows * branch);
  d.input(p->gamma, vector).input(p->beta, vector);
  d.optional(p->shared_gamma, vector).optional(p->shared_beta, vector);
  return d.write({{p->stream, p->rows * vector}, {p->out, p->rows * branch}});
}

cudaError_t pm_cuda_embed(const pm_embed_params* p, cudaStream_t) {
  const int64_t positions = p->batch * p->frames * p->joints, width = p->d_model;
  Digest d;
  d.number(static_cast<double>(p->batch)).number(static_cast<double>(p->frames));
  d.number(p->joints).number(p->d_model).number(p->next.epsilon);
  d.input(p->keypoints_2d, positions * 2 * kFloat).input(p->weight, 2 * width * kFloat);
  d.input(p->bias, width * kFloat).input(p->joint_position, p->joints * width * kFloat);
  d.input(p->next_norm, 2 * width * kFloat).input(p->next.in_proj, 4 * width * width * kHalf);
  return d.write(
      {{p->stream, positions * width * kFloat}, {p->next.xz, positions * 4 * width * kHalf}});
}

cudaError_t pm_cuda_conv_proj(const pm_conv_proj_params* p, cudaStream_t) {
  const int64_t positions = p->batch * p->frames * p->joints, channels = p->channels;
  Digest d;
  d.number(static_cast<double>(p->batch)).number(static_cast<double>(p->frames));
  d.number(p->joints).number(p->channels).number(p->columns);
  d.rows(p->x, positions, channels * kHalf, p->x_stride * kHalf);
  d.input(p->weight, 9 * channels * kFloat).input(p->bias, channels * kFloat);
  d.input(p->projection, p->columns * channels * kHalf);
  return d.write(
      {{p->u, positions * channels * kHalf}, {p->x_dbl, positions * p->columns * kHalf}});
}

cudaError_t pm_cuda_block_tail(const pm_block_tail_params* p, void* workspace, cudaStream_t) {
  const pm_cross_scan_params& s = p->scan;
  const int64_t positions = s.batch * s.frames * s.joints, width = p->d_model, inner = s.d_inner;
  const int64_t weights = int64_t{s.directions} * inner;
  Digest d;
  d.number(static_cast<double>(s.batch)).number(static_cast<double>(s.frames)).number(s.joints);
  d.number(s.d_inner).number(s.d_state).number(s.dt_rank).number(s.directions).number(s.dtype);
  d.number(s.half_sums);
  d.number(p->d_model).number(p->out_epsilon).number(p->norm2_epsilon);
  d.number(p->shared_epsilon).number(p->next.epsilon);
  for (const int32_t* list : {s.order, s.reverse, s.limb_mask}) {
    d.input(list, s.directions * static_cast<int64_t>(sizeof *list));
  }
  d.input(s.limb_index, s.joints * static_cast<int64_t>(sizeof *s.limb_index));
  d.rows(s.x, positions, inner * kHalf, s.x_stride * kHalf);
  const int64_t row = int64_t{s.directions} * (s.dt_rank + 2 * s.d_state);
  d.rows(s.x_dbl, positions, row * kHalf, s.x_dbl_stride * kHalf);
  d.input(s.dt_weight, weights * s.dt_rank * kFloat).input(s.dt_bias, weights * kFloat);
  d.input(s.A, weights * s.d_state * kFloat);
  d.rows(p->z, positions, inner * kHalf, p->z_stride * kHalf);
  d.input(p->vectors, 17 * width * kFloat).input(p->residual, positions * width * kFloat);
  for (const void* packed : {p->out_proj, p->fc1, p->fc2}) {
    d.input(packed, 2 * width * width * kHalf);
  }
  d.optional(p->position, s.frames * width * kFloat);
  const size_t reserved = pm_cuda_cross_scan_workspace_limit(&s);
  if (workspace == nullptr || reserved == 0) return cudaErrorInvalidValue;
  std::memset(workspace, 0, reserved);  // as much as the builder was told
  const Digest::Output stream{p->stream, positions * width * kFloat};
  if (p->next.xz != nullptr) {
    d.input(p->next.in_proj, 4 * width * width * kHalf);
    return d.write({stream, {p->next.xz, positions * 4 * width * kHalf}});
  }
  d.input(p->next.head_weight, 3 * width * kFloat).input(p->next.head_bias, 3 * kFloat);
  return d.write({stream, {p->next.poses_3d, positions * 3 * kFloat}});
}

cudaError_t pm_cuda_block(const pm_conv_proj_params* conv, const pm_block_tail_params* tail,
                          void* workspace, cudaStream_t stream) {
  const cudaError_t error = pm_cuda_conv_proj(conv, stream);
  return error != cudaSuccess ? error : pm_cuda_block_tail(tail, workspace, stream);
}

}  // extern "C"
