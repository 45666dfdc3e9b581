// The tasks compiled for AVX2, FMA and F16C (flags: ../CMakeLists.txt).
#include "cpu/cross_scan_task.h"
#include "cpu/scan_task.h"

namespace posemamba {

const IsaKernels* kernels_avx2() {
  static const IsaKernels kernels{"avx2", cross_scan_task, cross_merge_task, scan_task};
  return &kernels;
}

}  // namespace posemamba
