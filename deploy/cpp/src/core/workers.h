// A few threads that share a list of jobs with the thread that calls. Nothing is allocated by a
// run.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace posemamba::runtime {

class Workers {
 public:
  // `helpers`: threads beside the one that calls, or fewer where the system gives no more.
  explicit Workers(int helpers);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // job(0) to job(count - 1), each once, in any order and at the same time; returns when all have.
  // The calling thread takes its share. The first exception of a job is thrown again; jobs not
  // begun are left out then.
  // Not thread-safe.
  void run(int64_t count, const std::function<void(int64_t)>& job);

 private:
  void help();
  void take_jobs(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t)>* job_ = nullptr;
  int64_t next_ = 0, count_ = 0, running_ = 0;
  std::exception_ptr failure_;
  bool stop_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace posemamba::runtime
