// The host's threads as the launchers use them.
#pragma once

#include "posemamba/scan_cpu.h"

namespace posemamba {

constexpr int32_t kMaxThreads = 1024;

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

constexpr int64_t at_least_one(int64_t a) { return a < 1 ? 1 : a; }

constexpr int32_t clamp_threads(int32_t threads) {
  return threads < 1 ? 1 : threads > kMaxThreads ? kMaxThreads : threads;
}

inline int32_t threads_of(const pm_parallel* parallel) {
  return parallel == nullptr || parallel->run == nullptr ? 1 : clamp_threads(parallel->threads);
}

inline void run_tasks(const pm_parallel* parallel, int64_t tasks, void (*task)(void*, int64_t),
                      void* arg) {
  if (tasks > 1 && threads_of(parallel) > 1) {
    parallel->run(parallel->context, tasks, task, arg);
  } else {
    for (int64_t i = 0; i < tasks; ++i) task(arg, i);
  }
}

}  // namespace posemamba
