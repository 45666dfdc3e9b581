// The tasks compiled for AVX2, FMA and F16C (flags: ../CMakeLists.txt).
#include "cpu/cross_scan_task.h"
#include "cpu/indexed_scan_task.h"
#include "cpu/merge_task.h"
#include "cpu/scan_task.h"

namespace posemamba {

const IsaKernels* kernels_avx2() {
  static const IsaKernels kernels{"avx2", cross_scan_task, indexed_scan_task, merge_task,
                                  scan_task};
  return &kernels;
}

}  // namespace posemamba
