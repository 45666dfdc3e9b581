// Which instruction set runs: the widest the machine has, or the one a test asked for.
#include <string.h>

#include <atomic>

#include "cpu/tasks.h"

namespace posemamba {
namespace {

constexpr int kIsaCount = 3;

// Widest first; null where the machine lacks it.
void find_available(const IsaKernels* (&available)[kIsaCount]) {
  available[0] = available[1] = nullptr;
  available[2] = kernels_baseline();
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    available[0] = kernels_avx512();
  }
  // GCC 10 has no name for F16C here; every processor with AVX2 and FMA has it.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    available[1] = kernels_avx2();
  }
#endif
}

// With no name, the widest.
const IsaKernels* find_kernels(const char* name) {
  const IsaKernels* available[kIsaCount];
  find_available(available);
  for (const IsaKernels* kernels : available) {
    if (kernels != nullptr && (name == nullptr || strcmp(name, kernels->name) == 0)) {
      return kernels;
    }
  }
  return nullptr;
}

std::atomic<const IsaKernels*> active{nullptr};

}  // namespace

const IsaKernels& active_kernels() {
  const IsaKernels* kernels = active.load(std::memory_order_relaxed);
  if (kernels == nullptr) {
    kernels = find_kernels(nullptr);  // every thread that gets here finds the same
    active.store(kernels, std::memory_order_relaxed);
  }
  return *kernels;
}

}  // namespace posemamba

extern "C" const char* pm_cpu_isa(void) { return posemamba::active_kernels().name; }

extern "C" pm_status pm_cpu_set_isa(const char* name) {
  const posemamba::IsaKernels* kernels = posemamba::find_kernels(name);
  if (kernels == nullptr) return PM_UNSUPPORTED;
  posemamba::active.store(kernels, std::memory_order_relaxed);
  return PM_OK;
}
