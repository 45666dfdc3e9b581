// What the C interface hands out. A handle is a ticket and no address: its use after it was closed,
// from whatever thread, is found out, and an object lives on until the calls on it have returned.
#pragma once

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "core/failure.h"

namespace posemamba::runtime {

template <class Object, class Handle>
class Handles {
 public:
  // Those of this process. A child that was forked begins with none: threads and locks do not
  // follow it, so that what its parent opened is neither used nor destroyed there. Never destroyed
  // at the process's end either: sessions of other libraries do not survive the order of it.
  static Handles& of_process() {
    Handles* known = current_.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    static const int watched = pthread_atfork(nullptr, nullptr, leave);
    if (watched != 0) throw std::bad_alloc();
    auto made = std::make_unique<Handles>();
    if (!current_.compare_exchange_strong(known, made.get())) return *known;
    return *made.release();
  }

  // The process that a handle was opened in, where this one was forked from it; else 0.
  static pid_t left_process(const Handle* handle) {
    const auto ticket = reinterpret_cast<uintptr_t>(handle);
    const pid_t left = left_.load();
    return static_cast<pid_t>(ticket >> kPlaceBits >> kCountBits) == left ? left : 0;
  }

  Handle* insert(std::shared_ptr<Object> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t place = 0;
    while (place < slots_.size() && slots_[place].object) ++place;
    if (place == kMostPlaces) {
      fail(PM_NO_MEMORY, "%zu are open at once, and no more fit: close some", place);
    }
    if (place == slots_.size()) {
      slots_.push_back({static_cast<uintptr_t>(process_) << kCountBits, nullptr});
    }
    Slot& slot = slots_[place];
    ++slot.generation;
    slot.object = std::move(object);
    return reinterpret_cast<Handle*>(slot.generation << kPlaceBits | (place + 1));
  }

  // The object, or null if the handle was closed, is NULL or was never one.
  std::shared_ptr<Object> find(const Handle* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Slot* slot = slot_of(handle);
    return slot == nullptr ? nullptr : slot->object;
  }

  // Takes it out; it is destroyed by whoever drops the result last.
  std::shared_ptr<Object> remove(const Handle* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Slot* slot = slot_of(handle);
    return slot == nullptr ? nullptr : std::move(slot->object);
  }

 private:
  // A ticket, from its lowest bit: place + 1, how often the place was taken, the process.
  static constexpr unsigned kPlaceBits = 16;
  static constexpr unsigned kCountBits = 24;
  static constexpr size_t kMostPlaces = (1U << kPlaceBits) - 1;

  struct Slot {
    uintptr_t generation;
    std::shared_ptr<Object> object;
  };

  Slot* slot_of(const Handle* handle) {
    const auto ticket = reinterpret_cast<uintptr_t>(handle);
    const uintptr_t place = ticket & ((1U << kPlaceBits) - 1);
    if (place == 0 || place > slots_.size()) return nullptr;
    Slot& slot = slots_[place - 1];
    return slot.object && slot.generation == ticket >> kPlaceBits ? &slot : nullptr;
  }

  // In a child, just forked.
  static void leave() {
    if (const Handles* known = current_.exchange(nullptr)) left_ = known->process_;
  }

  inline static std::atomic<Handles*> current_{nullptr};
  inline static std::atomic<pid_t> left_{0};

  const pid_t process_ = getpid();
  std::mutex mutex_;
  std::vector<Slot> slots_;
};

}  // namespace posemamba::runtime
