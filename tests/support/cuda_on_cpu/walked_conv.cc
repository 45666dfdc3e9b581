// The convolution that writes what the split-channel scan reads, on the emulator, for
// tests/native/cuda_on_cpu.
#include <vector>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/scan/split_channel/launch.h"
#include "walk_args.h"

namespace posemamba::cuda {
namespace {

using Function = void (*)(pm_conv_proj_params, CrossArgs, split_channel::Prepared, int);

struct Call {
  Function function;
  void** args;
};

}  // namespace

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** args, bool, const Device&,
                   cudaStream_t, std::size_t shared, unsigned, unsigned) {
  const Call call{reinterpret_cast<Function>(const_cast<void*>(function)), args};
  return cuda_on_cpu::run(
      grid, static_cast<int>(block.x), shared,
      [](const void* c) {
        const Call& one = *static_cast<const Call*>(c);
        one.function(*static_cast<const pm_conv_proj_params*>(one.args[0]),
                     *static_cast<const CrossArgs*>(one.args[1]),
                     *static_cast<const split_channel::Prepared*>(one.args[2]),
                     *static_cast<const int*>(one.args[3]));
      },
      &call);
}

// The launcher asks for it; the scan itself is not here.
Kernel split_channel_kernel(OnePass, const pm_cross_scan_params&) { return {nullptr, 0}; }
namespace split_channel {
const void* prepare_kernel_of(int32_t) { return nullptr; }
}  // namespace split_channel

}  // namespace posemamba::cuda

// What is prepared, in `memory`, and where B and C and the dt inputs begin in it.
extern "C" std::size_t cuda_on_cpu_prepared(const pm_cross_scan_params* p, std::size_t* bc,
                                            std::size_t* raw) {
  using namespace posemamba::cuda::split_channel;
  const posemamba::cuda::split_channel::Prepared to = prepared_in(nullptr, *p);
  *bc = reinterpret_cast<std::size_t>(to.bc), *raw = reinterpret_cast<std::size_t>(to.raw);
  return prepared_bytes(*p);
}

extern "C" int cuda_on_cpu_walked_conv(const pm_conv_proj_params* conv,
                                       const pm_cross_scan_params* scan, int multiprocessors,
                                       void* memory) {
  using namespace posemamba::cuda;
  Device device = current_device();
  device.multiprocessors = multiprocessors, device.major = 8;
  if (!conv_proj_walks(*scan, device)) return cudaErrorNotSupported;
  // It clears beside what it makes: an odd number of words of 16 bytes.
  std::vector<uint64_t> clear(2 * 10001, 0);
  split_channel::Prepared to = split_channel::prepared_in(memory, *scan);
  to.clear = {clear.data(), static_cast<int64_t>(clear.size() / 2)};
  const cudaError_t error =
      launch_conv_proj_walked(*conv, walk_args_of(*scan), to, device, nullptr);
  if (error != cudaSuccess) return error;
  const bool cleared = clear == std::vector<uint64_t>(clear.size(), ~uint64_t{0});
  return cleared ? cudaSuccess : cudaErrorLaunchFailure;
}
