// The split-channel design's launcher and kernels on the emulator, for tests/native/cuda_on_cpu.
#include <cstring>
#include <vector>

#include "cuda/scan/split_channel/launch.h"
#include "walk_args.h"

namespace posemamba::cuda {
namespace {

// Both kernels take the same.
using Function = void (*)(CrossArgs, split_channel::Prepared);

struct Call {
  Function function;
  const CrossArgs& args;
  const split_channel::Prepared& prepared;
};

CrossArgs args_of(const pm_cross_scan_params& p, void* outputs) {
  CrossArgs a = walk_args_of(p);
  a.x = p.x, a.x_dbl = p.x_dbl, a.dt_weight = p.dt_weight, a.dt_bias = p.dt_bias, a.A = p.A;
  a.partial = outputs;
  a.x_stride = p.x_stride, a.x_dbl_stride = p.x_dbl_stride;
  return a;
}

}  // namespace

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** args, bool, const Device&,
                   cudaStream_t, std::size_t shared) {
  const Call call{reinterpret_cast<Function>(const_cast<void*>(function)),
                  *static_cast<const CrossArgs*>(args[0]),
                  *static_cast<const split_channel::Prepared*>(args[1])};
  return cuda_on_cpu::run(
      grid, static_cast<int>(block.x), shared,
      [](const void* c) {
        const Call& one = *static_cast<const Call*>(c);
        one.function(one.args, one.prepared);
      },
      &call);
}

}  // namespace posemamba::cuda

// Outputs of every direction in step order, [batch][direction][step][d_inner] of float16, by
// `config`, an OnePass. What is prepared is NaN before.
extern "C" int cuda_on_cpu_split_channel(const pm_cross_scan_params* p, int config, void* outputs) {
  using namespace posemamba::cuda;
  std::vector<uint64_t> memory((split_channel::prepared_bytes(*p) + 7) / 8 + 32, ~uint64_t{0});
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  auto* aligned = reinterpret_cast<void*>((address + 255) / 256 * 256);
  const split_channel::Prepared prepared = split_channel::prepared_in(aligned, *p);
  CrossArgs args = args_of(*p, outputs);
  const Device device = current_device();
  const cudaError_t error = split_channel::launch_prepare(*p, prepared, args, device, nullptr);
  if (error != cudaSuccess) return error;
  return split_channel::launch_scan(*p, static_cast<OnePass>(config), prepared, device, nullptr,
                                    &args);
}
