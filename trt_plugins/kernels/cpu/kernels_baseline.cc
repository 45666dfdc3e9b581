// The tasks compiled for what every machine of this architecture has: SSE2, or NEON.
#include "cpu/cross_fold_task.h"
#include "cpu/cross_pull_task.h"
#include "cpu/cross_scan_task.h"
#include "cpu/indexed_scan_task.h"
#include "cpu/merge_task.h"
#include "cpu/scan_pull_task.h"
#include "cpu/scan_task.h"

namespace posemamba {

const IsaKernels* kernels_baseline() {
#if defined(__aarch64__)
  static const IsaKernels kernels{
      "neon",          cross_scan_task,   indexed_scan_task,     merge_task,     scan_task,
      cross_pull_task, cross_fold_x_task, cross_fold_x_dbl_task, scan_pull_task, scan_fold_task};
#else
  static const IsaKernels kernels{
      "baseline",      cross_scan_task,   indexed_scan_task,     merge_task,     scan_task,
      cross_pull_task, cross_fold_x_task, cross_fold_x_dbl_task, scan_pull_task, scan_fold_task};
#endif
  return &kernels;
}

}  // namespace posemamba
