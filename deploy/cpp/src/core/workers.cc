#include "core/workers.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace posemamba::runtime {

Workers::Workers(int helpers) {
  helpers_.reserve(static_cast<size_t>(std::max(helpers, 0)));
  for (int i = 0; i < helpers; ++i) {
    try {
      helpers_.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
      break;  // of what the system grants; the calling thread does the rest
    }
  }
}

Workers::~Workers() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Workers::run(int64_t count, const std::function<void(int64_t)>& job) {
  std::unique_lock<std::mutex> lock(mutex_);
  job_ = &job;
  next_ = 0;
  count_ = count;
  failure_ = nullptr;
  wake_.notify_all();
  take_jobs(lock);
  done_.wait(lock, [this] { return running_ == 0; });
  job_ = nullptr;
  count_ = 0;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Workers::help() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || next_ < count_; });
    if (stop_) return;
    take_jobs(lock);
  }
}

void Workers::take_jobs(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const int64_t mine = next_++;
    ++running_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      (*job_)(mine);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --running_;
    if (failure) {
      next_ = count_;
      if (!failure_) failure_ = failure;
    }
  }
  if (running_ == 0) done_.notify_all();
}

}  // namespace posemamba::runtime
