// What the C interface hands out. A handle is a ticket and no address: its use after it was closed,
// from whatever thread, is found out, and an object lives on until the calls on it have returned.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace posemamba::runtime {

template <class Object, class Handle>
class Handles {
 public:
  Handle* insert(std::shared_ptr<Object> object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t place = 0;
    while (place < slots_.size() && slots_[place].object) ++place;
    if (place == slots_.size()) slots_.emplace_back();
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
  struct Slot {
    uintptr_t generation = 0;
    std::shared_ptr<Object> object;
  };
  static constexpr unsigned kPlaceBits = 16;

  Slot* slot_of(const Handle* handle) {
    const auto ticket = reinterpret_cast<uintptr_t>(handle);
    const uintptr_t place = ticket & ((1U << kPlaceBits) - 1);
    if (place == 0 || place > slots_.size()) return nullptr;
    Slot& slot = slots_[place - 1];
    return slot.object && slot.generation == ticket >> kPlaceBits ? &slot : nullptr;
  }

  std::mutex mutex_;
  std::vector<Slot> slots_;
};

}  // namespace posemamba::runtime
