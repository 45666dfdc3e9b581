// The lane-channel design's kernels on the emulator, for tests/native/cuda_on_cpu.
#include <algorithm>
#include <numeric>

#include "cuda/device/start.h"
#include "cuda/scan/one_pass.h"
#include "walk_args.h"

// Outputs of every direction in step order, [batch][direction][step][d_inner] in the type of x, by
// `config`, an OnePass, in its longer tiles or not. -1: it has no such kernel.
extern "C" int cuda_on_cpu_lane_channel(const pm_cross_scan_params* p, int config, int longer,
                                        void* outputs) {
  using namespace posemamba::cuda;
  CrossArgs a = walk_args_of(*p);
  a.x = p->x, a.x_dbl = p->x_dbl, a.dt_weight = p->dt_weight, a.dt_bias = p->dt_bias, a.A = p->A;
  a.partial = outputs;
  a.x_stride = p->x_stride, a.x_dbl_stride = p->x_dbl_stride;
  std::iota(a.masked_first, a.masked_first + a.directions, 0);
  std::stable_partition(a.masked_first, a.masked_first + a.directions,
                        [&](int k) { return a.limb_mask[k] != 0; });
  const OnePassShape& shape = kOnePassShapes[config];
  a.blocks_per_row = (a.d_inner + shape.channels - 1) / shape.channels;
  const auto one_pass = static_cast<OnePass>(config);
  const Kernel kernel =
      longer != 0 ? lane_channel_long_kernel(one_pass, *p) : lane_channel_kernel(one_pass, *p);
  if (kernel.function == nullptr) return -1;
  const auto blocks = static_cast<unsigned>(p->batch * a.directions * a.blocks_per_row);
  return start(reinterpret_cast<void (*)(CrossArgs)>(const_cast<void*>(kernel.function)),
               dim3(blocks), shape.threads, a, current_device(), nullptr, kernel.shared);
}
