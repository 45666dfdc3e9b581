// The designs that read prepared rows, split-channel and resident, on the emulator: launchers and
// kernels, for tests/native/cuda_on_cpu.
#include <cstring>
#include <vector>

#include "cuda/scan/split_channel/launch.h"
#include "cuda/scan/split_channel/resident/launch.h"
#include "walk_args.h"

namespace posemamba::cuda {
namespace {

// All kernels take these, and the resident scan the number of chunks.
using Function = void (*)(CrossArgs, split_channel::Prepared);
using Resident = void (*)(CrossArgs, split_channel::Prepared, int);

struct Call {
  const void* function;
  void** args;
};

CrossArgs args_of(const pm_cross_scan_params& p, void* outputs) {
  CrossArgs a = walk_args_of(p);
  a.x = p.x, a.x_dbl = p.x_dbl, a.dt_weight = p.dt_weight, a.dt_bias = p.dt_bias, a.A = p.A;
  a.partial = outputs;
  a.x_stride = p.x_stride, a.x_dbl_stride = p.x_dbl_stride;
  return a;
}

// What the resident design has a kernel for.
pm_cross_scan_params resident_case() {
  pm_cross_scan_params p{};
  p.dtype = PM_FLOAT16, p.d_state = 16, p.dt_rank = resident::kRank;
  return p;
}

}  // namespace

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** args, bool, const Device&,
                   cudaStream_t, std::size_t shared, unsigned, unsigned) {
  const Call call{function, args};
  return cuda_on_cpu::run(
      grid, static_cast<int>(block.x), shared,
      [](const void* c) {
        const Call& one = *static_cast<const Call*>(c);
        auto* kernel = const_cast<void*>(one.function);
        const auto& scan = *static_cast<const CrossArgs*>(one.args[0]);
        const auto& prepared = *static_cast<const split_channel::Prepared*>(one.args[1]);
        if (kernel == resident_kernel(resident_case()).function) {
          reinterpret_cast<Resident>(kernel)(scan, prepared, *static_cast<const int*>(one.args[2]));
        } else {
          reinterpret_cast<Function>(kernel)(scan, prepared);
        }
      },
      &call);
}

}  // namespace posemamba::cuda

// Outputs of every direction in step order, [batch][direction][step][d_inner] of float16, by
// `config`, an OnePass. What is prepared is NaN before. The resident design is on a device of so
// many multiprocessors.
extern "C" int cuda_on_cpu_split_channel(const pm_cross_scan_params* p, int config,
                                         int multiprocessors, void* outputs) {
  using namespace posemamba::cuda;
  Device device = current_device();
  device.multiprocessors = multiprocessors;
  const resident::Division division = resident::divide(*p, multiprocessors);
  const std::size_t bytes = split_channel::prepared_bytes(*p);
  // All ones are what the exchange is cleared to: zeros show whether that is done.
  const std::size_t exchange = config == kResident ? division.exchange_bytes() : 0;
  std::vector<uint64_t> memory((bytes + exchange + 7) / 8 + 32, ~uint64_t{0});
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  auto* aligned = reinterpret_cast<unsigned char*>((address + 255) / 256 * 256);
  std::memset(aligned + bytes, 0, exchange);
  split_channel::Prepared prepared = split_channel::prepared_in(aligned, *p);
  if (config == kResident) {
    if (division.chunks == 0) return cudaErrorNotSupported;
    prepared.clear = {aligned + bytes, static_cast<int64_t>(exchange / 16)};
  }
  CrossArgs args = args_of(*p, outputs);
  const cudaError_t error = split_channel::launch_prepare(*p, prepared, args, device, nullptr);
  if (error != cudaSuccess) return error;
  if (config == kResident) return resident::launch_scan(division, prepared, device, nullptr, &args);
  return split_channel::launch_scan(*p, static_cast<OnePass>(config), prepared, device, nullptr,
                                    &args);
}
