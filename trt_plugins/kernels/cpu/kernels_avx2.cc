// The tasks compiled for AVX2, FMA and F16C (flags: ../CMakeLists.txt).
#include "cpu/cross_fold_task.h"
#include "cpu/cross_pull_task.h"
#include "cpu/cross_scan_task.h"
#include "cpu/indexed_scan_task.h"
#include "cpu/merge_task.h"
#include "cpu/scan_pull_task.h"
#include "cpu/scan_task.h"

namespace posemamba {

const IsaKernels* kernels_avx2() {
  static const IsaKernels kernels{
      "avx2",          cross_scan_task,   indexed_scan_task,     merge_task,     scan_task,
      cross_pull_task, cross_fold_x_task, cross_fold_x_dbl_task, scan_pull_task, scan_fold_task};
  return &kernels;
}

}  // namespace posemamba
