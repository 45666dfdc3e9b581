// The process-wide thread pool for hosts without one: workers sleep on a condition variable, tasks
// are handed out by an atomic counter. Plain pthreads: no exception can come out of it.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <new>

#include "cpu/parallel.h"

namespace posemamba {
namespace {

struct Pool {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t work = PTHREAD_COND_INITIALIZER;  // a job has room for another worker
  pthread_cond_t done = PTHREAD_COND_INITIALIZER;  // the last worker left the job
  std::atomic<bool> busy{false};                   // one job at a time
  int32_t workers = 0;                             // started; under the mutex

  // The job. Written under the mutex while no worker is in it.
  void (*task)(void*, int64_t) = nullptr;
  void* arg = nullptr;
  int64_t tasks = 0;
  std::atomic<int64_t> next{0};
  int32_t room = 0;    // workers that may still join; under the mutex
  int32_t inside = 0;  // workers in the job; under the mutex
};

void work_through(Pool& pool) {
  for (int64_t i = pool.next.fetch_add(1, std::memory_order_relaxed); i < pool.tasks;
       i = pool.next.fetch_add(1, std::memory_order_relaxed)) {
    pool.task(pool.arg, i);
  }
}

void* worker_main(void* argument) {
  Pool& pool = *static_cast<Pool*>(argument);
  pthread_mutex_lock(&pool.mutex);
  for (;;) {
    while (pool.room == 0) pthread_cond_wait(&pool.work, &pool.mutex);
    --pool.room;
    ++pool.inside;
    pthread_mutex_unlock(&pool.mutex);
    work_through(pool);
    pthread_mutex_lock(&pool.mutex);
    if (--pool.inside == 0) pthread_cond_signal(&pool.done);
  }
  return nullptr;
}

// The pool lives as long as the process. A forked child has none of its threads, and perhaps a
// mutex held by one of them, so it starts over with a new one.
std::atomic<Pool*> current{nullptr};

void forget_pool() { current.store(nullptr, std::memory_order_relaxed); }

// Null when memory is short: the caller's thread then does all the work.
Pool* get_pool() {
  static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
  (void)registered;
  Pool* pool = current.load(std::memory_order_acquire);
  if (pool != nullptr) return pool;
  Pool* fresh = new (std::nothrow) Pool;
  if (fresh == nullptr || current.compare_exchange_strong(pool, fresh)) return fresh;
  delete fresh;
  return pool;
}

// With the mutex held. A thread that cannot be started is done without.
void grow(Pool& pool, int32_t workers) {
  if (pool.workers >= workers) return;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);  // signals belong to the host's threads
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  while (pool.workers < workers) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, worker_main, &pool) != 0) break;
    ++pool.workers;
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// `context` points to the number of threads this caller asked for.
void run(void* context, int64_t tasks, void (*task)(void*, int64_t), void* arg) {
  Pool* pool = get_pool();
  // A second caller, or a task that calls in again, does its work alone rather than wait.
  if (pool == nullptr || pool->busy.exchange(true, std::memory_order_acquire)) {
    for (int64_t i = 0; i < tasks; ++i) task(arg, i);
    return;
  }
  const int32_t threads = *static_cast<const int32_t*>(context);
  pthread_mutex_lock(&pool->mutex);
  grow(*pool, threads - 1);
  pool->task = task;
  pool->arg = arg;
  pool->tasks = tasks;
  pool->next.store(0, std::memory_order_relaxed);
  pool->room = static_cast<int32_t>(smaller(smaller(threads, tasks) - 1, pool->workers));
  for (int32_t i = 0; i < pool->room; ++i) pthread_cond_signal(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  work_through(*pool);
  pthread_mutex_lock(&pool->mutex);
  pool->room = 0;  // who has not woken by now need not
  while (pool->inside != 0) pthread_cond_wait(&pool->done, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
  pool->busy.store(false, std::memory_order_release);
}

// One pm_parallel for every number of threads, so that a returned pointer stays good.
struct Hosts {
  int32_t threads[kMaxThreads + 1];
  pm_parallel parallel[kMaxThreads + 1];

  Hosts() {
    for (int32_t i = 0; i <= kMaxThreads; ++i) {
      threads[i] = clamp_threads(i);
      parallel[i] = pm_parallel{&threads[i], threads[i], run};
    }
  }
};

}  // namespace
}  // namespace posemamba

extern "C" const pm_parallel* pm_cpu_pool(int32_t threads) {
  static posemamba::Hosts hosts;
  return &hosts.parallel[posemamba::clamp_threads(threads)];
}
