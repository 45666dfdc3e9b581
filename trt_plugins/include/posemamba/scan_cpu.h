/* CPU launchers. Vector width is chosen at run time (AVX-512, AVX2, baseline; NEON on aarch64). */
#pragma once

#include "posemamba/scan.h"
#include "posemamba/scan_v2.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The host's threads. `run` calls task(arg, i) once for every i in [0, tasks), on any thread, and
 * returns when all are done. A null pm_parallel, or a null `run`, means the calling thread alone.
 */
typedef struct pm_parallel {
  void* context;
  int32_t threads; /* what `run` can use at once; a hint for splitting work, at least 1 */
  void (*run)(void* context, int64_t tasks, void (*task)(void* arg, int64_t index), void* arg);
} pm_parallel;

/* Bytes of workspace the launch needs (64-byte aligned by the caller), or 0 for invalid params;
 * pointers in params are not looked at. `threads`: at least what `parallel` has at the launch. */
PM_API size_t pm_cpu_cross_scan_workspace(const pm_cross_scan_params* params, int32_t threads);
PM_API pm_status pm_cpu_cross_scan(const pm_cross_scan_params* params, void* workspace,
                                   const pm_parallel* parallel);

PM_API size_t pm_cpu_scan_workspace(const pm_scan_params* params, int32_t threads);
PM_API pm_status pm_cpu_scan(const pm_scan_params* params, void* workspace,
                             const pm_parallel* parallel);

PM_API size_t pm_cpu_indexed_scan_workspace(const pm_indexed_scan_params* params, int32_t threads);
PM_API pm_status pm_cpu_indexed_scan(const pm_indexed_scan_params* params, void* workspace,
                                     const pm_parallel* parallel);

/* float32 results do not depend on where a sequence is cut: a stream of pieces, the state handed
 * on, gives the bits of one long scan. */
PM_API size_t pm_cpu_stateful_scan_workspace(const pm_stateful_scan_params* params,
                                             int32_t threads);
PM_API pm_status pm_cpu_stateful_scan(const pm_stateful_scan_params* params, void* workspace,
                                      const pm_parallel* parallel);

/* Name of the instruction set in use: "avx512", "avx2", "neon" or "baseline". */
PM_API const char* pm_cpu_isa(void);
/* Force one for tests and measurements; PM_UNSUPPORTED if this machine lacks it. Null: automatic.
 */
PM_API pm_status pm_cpu_set_isa(const char* name);

/* A persistent pool for hosts without one of their own (the PyTorch op). Idle workers sleep. The
 * pool is process-wide, grows to `threads - 1` workers and survives fork by starting over. */
PM_API const pm_parallel* pm_cpu_pool(int32_t threads);

#ifdef __cplusplus
}
#endif
