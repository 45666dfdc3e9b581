// Launcher of CrossSelectiveScan: the scan by one of its designs, then the merge.
#include <algorithm>

#include "common/validate.h"
#include "cuda/device/launch.h"
#include "cuda/scan/choose.h"
#include "cuda/scan/chunked/kernels.h"
#include "cuda/scan/chunked/launch.h"
#include "cuda/scan/cross_launch.h"
#include "cuda/scan/merge.cuh"
#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/resident/launch.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {
namespace {

struct Layout {
  std::size_t front;  // bytes of each part
  ChunkedLayout chunked;
  std::size_t prepared;
  std::size_t exchange;

  std::size_t total() const { return front + chunked.total() + prepared + exchange; }
};

bool supported(const pm_cross_scan_params& p) {
  // Step numbers are 32 bits wide; the grid's first dimension counts blocks.
  // Byte offsets inside one batch item are 32 bits wide, too; batch items are 64 bits apart.
  const int64_t stride = 4 * std::max(p.x_stride, p.x_dbl_stride);
  return p.frames * p.joints <= INT32_MAX / stride && p.d_inner % 8 == 0 && p.batch <= 65535 &&
         p.batch * p.directions * (p.d_inner / 8) <= INT32_MAX;
}

Layout layout_of(const pm_cross_scan_params& p, const Choice& choice, const Device& device) {
  const bool resident = choice.one_pass == kResident || choice.prepared == kResident;
  return {p.dtype == PM_FLOAT16 ? scan_front_bytes(p.d_inner) : 0,
          chunked_layout(p.batch * p.directions, p.frames * p.joints, p.d_inner, p.dtype,
                         choice.chunked),
          reads_prepared(choice.one_pass) || choice.prepared >= 0 ? split_channel::prepared_bytes(p)
                                                                  : 0,
          resident ? resident_division(p, device).exchange_bytes() : 0};
}

// Where what `config` reads lies in the workspace.
split_channel::Prepared prepared_of(const pm_cross_scan_params& p, OnePass config, void* workspace,
                                    const Layout& layout) {
  auto* end = static_cast<unsigned char*>(workspace) + layout.total();
  split_channel::Prepared to =
      split_channel::prepared_in(end - layout.exchange - layout.prepared, p);
  if (config == kResident) {
    to.clear = {end - layout.exchange, static_cast<int64_t>(layout.exchange / 16)};
  }
  return to;
}

// The inverse of point_of_step, which is affine in frame and joint.
void invert_walk(CrossArgs& a, int k) {
  const bool by_joint = a.order[k] == PM_JOINT_MAJOR || a.order[k] == PM_JOINT_MAJOR_FLIPPED;
  const int inner = by_joint ? a.frames : a.joints;
  const bool flipped = a.order[k] >= PM_FRAME_MAJOR_FLIPPED;
  int base = flipped ? inner - 1 : 0;
  int in = flipped ? -1 : 1;
  int out = inner;
  if (a.reverse[k] != 0) base = a.steps - 1 - base, in = -in, out = -out;
  a.step_base[k] = base;
  a.step_frame[k] = by_joint ? in : out;
  a.step_joint[k] = by_joint ? out : in;
}

CrossArgs args_of(const pm_cross_scan_params& p, const Plan& plan, const Layout& layout,
                  void* workspace) {
  auto* bytes = static_cast<unsigned char*>(workspace) + layout.front;
  CrossArgs a{};
  static_cast<CommonArgs&>(a) = common_args_of(p, plan, layout.chunked, bytes);
  a.steps = static_cast<int>(p.frames * p.joints);
  a.frames = static_cast<int>(p.frames), a.joints = p.joints;
  std::copy_n(p.order, PM_MAX_DIRECTIONS, a.order);
  std::copy_n(p.reverse, PM_MAX_DIRECTIONS, a.reverse);
  std::copy_n(p.limb_mask, PM_MAX_DIRECTIONS, a.limb_mask);
  for (int k = 0; k < p.directions; ++k) {
    invert_walk(a, k);
    a.masked_first[k] = k;
  }
  std::stable_partition(a.masked_first, a.masked_first + p.directions,
                        [&](int k) { return a.limb_mask[k] != 0; });
  const bool any_limb =
      std::any_of(p.limb_mask, p.limb_mask + p.directions, [](int32_t mask) { return mask != 0; });
  for (int j = 0; any_limb && j < p.joints; ++j) {
    a.limb_index[j] = static_cast<unsigned char>(p.limb_index[j]);
  }
  return a;
}

cudaError_t merge(const pm_cross_scan_params& p, CrossArgs& a, const Device& device,
                  cudaStream_t stream) {
  const dim3 block = merge_block(p.d_inner, p.dtype, kMergeThreads);
  // Four positions a thread amortise its D sums; two spread a small problem over more SMs.
  const int64_t threads = p.batch * a.steps * block.x;
  a.merge_positions = threads >= int64_t{device.multiprocessors} * 8192 ? 4 : 2;
  const int per_block = static_cast<int>(block.y) * a.merge_positions;
  const dim3 grid(static_cast<unsigned>((a.steps + per_block - 1) / per_block),
                  static_cast<unsigned>(p.batch));
  void* args[] = {&a};
  const void* kernel = p.dtype == PM_FLOAT16
                           ? reinterpret_cast<const void*>(&cross_merge_kernel<__half>)
                           : reinterpret_cast<const void*>(&cross_merge_kernel<float>);
  return launch(kernel, grid, block, args, true, device, stream);
}

cudaError_t launch_lane_channel(const pm_cross_scan_params& p, OnePass config, const Device& device,
                                cudaStream_t stream, CrossArgs* args) {
  const OnePassShape& shape = kOnePassShapes[config];
  args->blocks_per_row = (p.d_inner + shape.channels - 1) / shape.channels;
  const auto blocks = static_cast<unsigned>(p.batch * p.directions * int64_t{args->blocks_per_row});
  constexpr unsigned kBlocks = 2;  // of an SM, for longer tiles
  const Kernel longer = lane_channel_long_kernel(config, p);
  const bool has_room =
      longer.function != nullptr &&
      blocks <= kBlocks * static_cast<unsigned>(device.multiprocessors) &&
      kBlocks * (longer.shared + kReservedShared) <= device.shared_bytes + kReservedShared;
  const Kernel kernel = has_room ? longer : lane_channel_kernel(config, p);
  void* arguments[] = {args};
  // Not before the previous kernel is done: early blocks go where there is room, and an SM that
  // holds four would finish long after one that holds one.
  return launch(kernel.function, dim3(blocks), dim3(static_cast<unsigned>(shape.threads)),
                arguments, false, device, stream, kernel.shared, 1, has_room ? kBlocks : 0);
}

cudaError_t launch_chunked(const pm_cross_scan_params& p, const Plan& plan, const Device& device,
                           cudaStream_t stream, CrossArgs* args) {
  const Kernel kernel = p.dtype == PM_FLOAT16 ? cross_kernel_f16(plan.config, p.dt_rank)
                                              : cross_kernel_f32(plan.config, p.dt_rank);
  return launch_chunked(kernel, plan, p.batch * p.directions, device, stream, args);
}

// The scan of what has been prepared.
cudaError_t launch_of_prepared(const pm_cross_scan_params& p, OnePass config,
                               const split_channel::Prepared& prepared, const Device& device,
                               cudaStream_t stream, CrossArgs* args) {
  return config == kResident
             ? resident::launch_scan(resident_division(p, device), prepared, device, stream, args)
             : split_channel::launch_scan(p, config, prepared, device, stream, args);
}

}  // namespace

cudaError_t launch_cross_scan(const pm_cross_scan_params& p, const pm_cuda_tuning* tuning,
                              void* workspace, const Device& device, cudaStream_t stream,
                              CrossArgs* args) {
  if (!supported(p)) return cudaErrorNotSupported;
  if (workspace == nullptr) return cudaErrorInvalidValue;
  const Choice choice = choose(p, tuning, device);
  if (!choice.valid) return cudaErrorInvalidValue;
  const Layout layout = layout_of(p, choice, device);
  *args = args_of(p, choice.chunked, layout, workspace);
  if (choice.one_pass < 0 || !reads_aligned(p)) {
    return choice.forced ? cudaErrorInvalidValue
                         : launch_chunked(p, choice.chunked, device, stream, args);
  }
  const auto config = static_cast<OnePass>(choice.one_pass);
  if (!reads_prepared(config)) return launch_lane_channel(p, config, device, stream, args);
  const split_channel::Prepared prepared = prepared_of(p, config, workspace, layout);
  const cudaError_t error = split_channel::launch_prepare(p, prepared, *args, device, stream);
  if (error != cudaSuccess) return error;
  return launch_of_prepared(p, config, prepared, device, stream, args);
}

bool plan_prepared_scan(const pm_cross_scan_params& p, void* workspace, const Device& device,
                        PreparedScan* plan) {
  if (!supported(p) || workspace == nullptr) return false;
  const Choice choice = choose(p, nullptr, device);
  if (!choice.valid || choice.prepared < 0) return false;
  const Layout layout = layout_of(p, choice, device);
  plan->config = static_cast<OnePass>(choice.prepared);
  plan->prepared = prepared_of(p, plan->config, workspace, layout);
  plan->args = args_of(p, choice.chunked, layout, workspace);
  return true;
}

cudaError_t launch_prepared_scan(const pm_cross_scan_params& p, const Device& device,
                                 cudaStream_t stream, PreparedScan* plan) {
  return launch_of_prepared(p, plan->config, plan->prepared, device, stream, &plan->args);
}

}  // namespace posemamba::cuda

extern "C" size_t pm_cuda_cross_scan_workspace(const pm_cross_scan_params* params,
                                               const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(params) != PM_OK || !supported(*params)) return 0;
  const Device device = current_device();
  if (device.multiprocessors == 0) return 0;
  const Choice choice = choose(*params, tuning, device);
  return choice.valid ? layout_of(*params, choice, device).total() : 0;
}

extern "C" size_t pm_cuda_cross_scan_workspace_limit(const pm_cross_scan_params* largest) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(largest) != PM_OK || !supported(*largest)) return 0;
  Choice none{};
  none.one_pass = none.prepared = -1;
  const Layout layout = layout_of(*largest, none, {});
  return layout.front + layout.chunked.partial + carry_limit(problem_of(*largest)) +
         prepared_limit(*largest);
}

extern "C" cudaError_t pm_cuda_cross_scan(const pm_cross_scan_params* params,
                                          const pm_cuda_tuning* tuning, void* workspace,
                                          cudaStream_t stream) {
  using namespace posemamba::cuda;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  CrossArgs args;
  const cudaError_t error = launch_cross_scan(*params, tuning, workspace, device, stream, &args);
  return error != cudaSuccess ? error : merge(*params, args, device, stream);
}
