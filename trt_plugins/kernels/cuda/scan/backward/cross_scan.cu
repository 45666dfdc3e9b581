// Launcher of the gradients of CrossSelectiveScan.
#include <algorithm>

#include "common/validate_backward.h"
#include "cuda/device/start.h"
#include "cuda/scan/backward/around.h"
#include "cuda/scan/backward/kernels.cuh"
#include "cuda/scan/backward/merge.cuh"
#include "cuda/scan/backward/plan.h"
#include "posemamba/scan_backward_cuda.h"

namespace posemamba::cuda::backward {
namespace {

int64_t steps_of(const pm_cross_scan_params& p) { return p.frames * p.joints; }
int64_t rows_of(const pm_cross_scan_params& p) { return p.batch * p.directions; }
int dbl_width(const pm_cross_scan_params& p) { return p.dt_rank + 2 * p.d_state; }

Sizes sizes_of(const pm_cross_scan_params& p) {
  return {rows_of(p), steps_of(p), p.d_inner, p.d_state, p.dt_rank};
}

Plan plan_of(const pm_cross_scan_backward_params& params, const pm_cuda_tuning* tuning,
             const Device& device) {
  const pm_cross_scan_params& p = params.forward;
  Plan plan = make_plan(sizes_of(p), tuning, device);
  const int64_t widest = std::max({p.x_stride, p.x_dbl_stride, params.dy_stride});
  plan.valid = plan.valid && widest <= INT32_MAX;                 // kept in 32 bits
  plan.valid = plan.valid && p.batch * steps_of(p) <= INT32_MAX;  // blocks of a merge
  return plan;
}

// The parts of the workspace; its size is that of `parts` afterwards.
CrossArgs args_of(const pm_cross_scan_backward_params& params, const Plan& plan, Parts* parts) {
  const pm_cross_scan_params& p = params.forward;
  CrossArgs a{};
  a.problem = make_problem(sizes_of(p), plan, p.directions, parts);
  a.problem.A = p.A, a.problem.D = p.D;
  a.problem.softplus = 1;
  a.of_weight = parts->take(rows_of(p) * plan.chunks * p.d_inner * p.dt_rank);
  a.of_u = parts->take(rows_of(p) * steps_of(p) * p.d_inner);
  a.of_dbl = parts->take(rows_of(p) * plan.blocks_per_row * steps_of(p) * dbl_width(p));
  a.x = p.x, a.x_dbl = p.x_dbl, a.dy = params.dy;
  a.dt_weight = p.dt_weight, a.dt_bias = p.dt_bias;
  a.x_stride = static_cast<int>(p.x_stride), a.x_dbl_stride = static_cast<int>(p.x_dbl_stride);
  a.dy_stride = static_cast<int>(params.dy_stride);
  a.frames = static_cast<int>(p.frames), a.joints = p.joints, a.rank = p.dt_rank;
  for (int k = 0; k < p.directions; ++k) {
    a.walk[k] = {p.order[k], p.reverse[k], p.limb_mask[k]};
  }
  for (int j = 0; j < p.joints; ++j) a.limb_index[j] = static_cast<unsigned char>(p.limb_index[j]);
  return a;
}

MergeArgs merge_of(const CrossArgs& from) {
  MergeArgs a{};
  a.directions = from.problem.groups;
  a.frames = from.frames, a.joints = from.joints;
  std::copy_n(from.walk, PM_MAX_DIRECTIONS, a.walk);
  int count = 0;
  for (int j = 0; j < a.joints; ++j) {
    a.first_limb[j] = static_cast<unsigned char>(count);
    for (int other = 0; other < a.joints; ++other) {
      if (from.limb_index[other] == j) a.limb_of[count++] = static_cast<unsigned char>(other);
    }
  }
  a.first_limb[a.joints] = static_cast<unsigned char>(count);
  return a;
}

struct Merge {
  const float* from;
  void* to;
  int parts;
  int width;
  bool each_direction;
  bool own;
  bool limb;
};

cudaError_t merge(const MergeArgs& common, const Merge& what, const pm_cross_scan_params& p,
                  const Device& device, cudaStream_t stream) {
  MergeArgs a = common;
  a.from = what.from, a.to = what.to, a.parts = what.parts, a.width = what.width;
  a.own = what.own, a.limb = what.limb;
  a.columns = what.each_direction ? a.directions * what.width : what.width;
  a.rows = std::max(1, kThreads / a.columns);
  a.blocks_per_item = (a.frames * a.joints + a.rows - 1) / a.rows;
  const bool half = p.dtype == PM_FLOAT16;
  const auto kernel = what.each_direction
                          ? (half ? merge_kernel<__half, true> : merge_kernel<float, true>)
                          : (half ? merge_kernel<__half, false> : merge_kernel<float, false>);
  return start(kernel, p.batch * a.blocks_per_item, kThreads, a, device, stream);
}

template <typename T>
cudaError_t run(const pm_cross_scan_backward_params& params, const Plan& plan, const CrossArgs& a,
                const Device& device, cudaStream_t stream) {
  const pm_cross_scan_params& p = params.forward;
  return with_shape(p.d_state, [&](auto shape) {
    using S = typename decltype(shape)::type;
    return launch_chunks<S, CrossRows<S, T>>(a, plan, rows_of(p), device, stream);
  });
}

}  // namespace
}  // namespace posemamba::cuda::backward

extern "C" size_t pm_cuda_cross_scan_backward_workspace(const pm_cross_scan_backward_params* params,
                                                        const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::backward;
  if (posemamba::validate_layout(params) != PM_OK) return 0;
  const Device device = current_device();
  const Plan plan = plan_of(*params, tuning, device);
  if (device.multiprocessors == 0 || !plan.valid) return 0;
  Parts parts(nullptr);
  args_of(*params, plan, &parts);
  return parts.size();
}

extern "C" cudaError_t pm_cuda_cross_scan_backward(const pm_cross_scan_backward_params* params,
                                                   const pm_cuda_tuning* tuning, void* workspace,
                                                   cudaStream_t stream) {
  using namespace posemamba::cuda;
  using namespace posemamba::cuda::backward;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  if (params->states != nullptr) return cudaErrorNotSupported;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  const Plan plan = plan_of(*params, tuning, device);
  if (!plan.valid || workspace == nullptr) return cudaErrorInvalidValue;
  const pm_cross_scan_params& p = params->forward;
  Parts parts(workspace);
  const CrossArgs a = args_of(*params, plan, &parts);
  cudaError_t error = p.dtype == PM_FLOAT16 ? run<__half>(*params, plan, a, device, stream)
                                            : run<float>(*params, plan, a, device, stream);
  const bool official = params->limb_gradient == PM_LIMB_OFFICIAL;
  const Merge merges[] = {
      {a.of_u, params->dx, 1, p.d_inner, false, true, !official},
      {a.of_dbl, params->dx_dbl, plan.blocks_per_row, dbl_width(p), true, true, !official},
      {a.of_dbl, params->dx_dbl_limb, plan.blocks_per_row, dbl_width(p), true, false, true},
  };
  const MergeArgs common = merge_of(a);
  for (int i = 0; i < (official ? 3 : 2) && error == cudaSuccess; ++i) {
    error = merge(common, merges[i], p, device, stream);
  }
  if (error != cudaSuccess) return error;
  const Sum sums[] = {{a.problem.state, params->dA, plan.states, p.d_state},
                      {a.of_weight, params->d_dt_weight, p.dt_rank, p.dt_rank},
                      {a.problem.dt_sum, params->d_dt_bias, 1, 1},
                      {a.problem.skip, params->dD, 1, 1}};
  return sum_chunks(a.problem, p.batch, sums, 4, device, stream);
}
