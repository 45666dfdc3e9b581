// Which designs a block's launchers take on a device that need not be here, for bench.cu: a
// JSON object for every width, length and batch.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/tail.h"
#include "cuda/scan/choose.h"
#include "cuda/scan/chunked/config_list.h"

namespace posemamba::bench {

using namespace posemamba::cuda;

constexpr char kPlanArguments[] = "MULTIPROCESSORS MAJOR SHARED_BYTES (needs no GPU)";

// As pm_cuda_tuning::config counts them.
inline int config_of(const pm_cross_scan_params& scan, bool prepared, const Device& device) {
  const Choice choice = choose(scan, nullptr, device);
  const int one_pass = prepared ? choice.prepared : choice.one_pass;
  return one_pass < 0 ? choice.chunked.config + 1 : kConfigs + 1 + one_pass;
}

inline void print_plan(int d_inner, int frames, int batch, const Device& device) {
  pm_block_tail_params tail{};
  pm_cross_scan_params& scan = tail.scan;
  scan.batch = batch, scan.frames = frames, scan.joints = 17;
  scan.d_inner = d_inner, scan.d_state = 16, scan.dt_rank = d_inner / 32, scan.directions = 4;
  scan.dtype = PM_FLOAT16, scan.x_stride = scan.y_stride = d_inner;
  scan.x_dbl_stride = 4 * (scan.dt_rank + 2 * scan.d_state);
  tail.d_model = d_inner / 2;
  pm_conv_proj_params conv{};
  conv.batch = batch, conv.frames = frames, conv.joints = 17, conv.channels = d_inner;
  conv.columns = static_cast<int32_t>(scan.x_dbl_stride);

  // As pm_cuda_block decides; a workspace that is only planned for is not written.
  unsigned char somewhere[1];
  PreparedScan plan;
  const bool walks = conv_proj_walks(scan, device);
  const bool few =
      walks ? conv_proj_prepares_at_once(conv, device) : conv_proj_prepares(conv, device);
  const bool prepares = (few || walks) && plan_prepared_scan(scan, somewhere, device, &plan);
  const char* convolution = conv_proj_parts(conv, device)      ? "parted"
                            : conv_proj_persists(conv, device) ? "persistent"
                                                               : "single";
  constexpr const char* kTails[] = {"single", "warpgroups", "clusters", "persistent"};
  const char* after = kTails[static_cast<int>(choose_tail(tail, device))];
  std::printf(
      "{\"d_inner\": %d, \"frames\": %d, \"batch\": %d, \"scan\": %d, \"conv_proj\": \"%s\", "
      "\"tail\": \"%s\"}\n",
      d_inner, frames, batch, config_of(scan, prepares, device),
      !prepares ? convolution
      : few     ? "few_frames"
                : "all_frames",
      after);
}

// Shared memory: of a thread block, at most.
inline int plan(char** arguments) {
  const std::size_t shared_bytes = std::strtoul(arguments[2], nullptr, 10);
  const Device device{std::atoi(arguments[0]), std::atoi(arguments[1]), shared_bytes, 0};
  for (const int d_inner : {128, 256, 512}) {
    for (const int frames : {27, 243}) {
      for (const int batch : {1, 4, 8}) print_plan(d_inner, frames, batch, device);
    }
  }
  return 0;
}

}  // namespace posemamba::bench
