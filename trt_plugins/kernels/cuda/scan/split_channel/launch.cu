#include <algorithm>

#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda::split_channel {
namespace {

struct Layout {
  std::size_t u;  // bytes of each part
  std::size_t bc;
  std::size_t raw;
};

// Numbers the distinct walks; pointers stay null.
Prepared walks_of(const pm_cross_scan_params& p) {
  Prepared to{};
  to.steps4 = static_cast<int>((p.frames * p.joints + 3) / 4 * 4);
  for (int k = 0; k < p.directions; ++k) {
    int w = 0;
    while (w < to.walks && (p.order[to.first[w]] != p.order[k] ||
                            (p.limb_mask[to.first[w]] != 0) != (p.limb_mask[k] != 0))) {
      ++w;
    }
    if (w == to.walks) to.first[to.walks++] = static_cast<unsigned char>(k);
    to.walk[k] = static_cast<unsigned char>(w);
  }
  return to;
}

Layout layout_of(const pm_cross_scan_params& p, const Prepared& to) {
  const auto steps = static_cast<std::size_t>(p.batch) * static_cast<std::size_t>(to.steps4);
  const auto rows = steps * static_cast<std::size_t>(p.directions);
  return {align_up(steps * static_cast<std::size_t>(to.walks) *
                   static_cast<std::size_t>(p.d_inner) * sizeof(__half)),
          align_up(rows * 32 * sizeof(float)),
          align_up(rows * static_cast<std::size_t>(p.dt_rank) * sizeof(float))};
}

}  // namespace

std::size_t prepared_bytes(const pm_cross_scan_params& p) {
  const Layout layout = layout_of(p, walks_of(p));
  return layout.u + layout.bc + layout.raw;
}

Prepared prepared_in(void* memory, const pm_cross_scan_params& p) {
  Prepared to = walks_of(p);
  const Layout layout = layout_of(p, to);
  auto* bytes = static_cast<unsigned char*>(memory);
  to.u = reinterpret_cast<__half*>(bytes);
  to.bc = reinterpret_cast<float*>(bytes + layout.u);
  to.raw = reinterpret_cast<float*>(bytes + layout.u + layout.bc);
  return to;
}

cudaError_t launch_prepare(const pm_cross_scan_params& p, const Prepared& to, const CrossArgs& args,
                           const Device& device, cudaStream_t stream) {
  CrossArgs args_of_scan = args;
  Prepared prepared = to;
  void* arguments[] = {&args_of_scan, &prepared};
  const dim3 grid(static_cast<unsigned>((to.steps4 + kPrepareSteps - 1) / kPrepareSteps),
                  static_cast<unsigned>(to.walks + p.directions), static_cast<unsigned>(p.batch));
  return launch(prepare_kernel_of(p.dt_rank), grid, dim3(kPrepareThreads), arguments, true, device,
                stream);
}

cudaError_t launch_scan(const pm_cross_scan_params& p, OnePass config, const Prepared& from,
                        const Device& device, cudaStream_t stream, CrossArgs* args) {
  const OnePassShape& shape = kOnePassShapes[config];
  const Kernel kernel = split_channel_kernel(config, p);
  args->blocks_per_row = (p.d_inner + shape.channels - 1) / shape.channels;
  const int64_t blocks = p.batch * p.directions * int64_t{args->blocks_per_row};
  // Its blocks may start while the previous kernel drains, and go where there is room. With no more
  // blocks than SMs each gets one of its own: more than half of the shared memory keeps the others
  // away.
  const std::size_t shared = blocks <= device.multiprocessors
                                 ? std::max(kernel.shared, device.shared_bytes / 2)
                                 : kernel.shared;
  Prepared prepared = from;
  void* arguments[] = {args, &prepared};
  return launch(kernel.function, dim3(static_cast<unsigned>(blocks)),
                dim3(static_cast<unsigned>(shape.threads)), arguments, true, device, stream,
                shared);
}

}  // namespace posemamba::cuda::split_channel
