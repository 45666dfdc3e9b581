// Finished poses until they are polled: a ring that grows to the largest backlog.
#pragma once

#include <cstddef>
#include <vector>

#include "stream/track.h"

namespace posemamba::runtime {

// With this many poses unpolled a stream is lifted no further.
constexpr size_t kMostUnpolled = 65536;

class PoseQueue : public PoseSink {
 public:
  size_t size() const { return count_; }
  bool full() const { return count_ >= kMostUnpolled; }

  void put(const pm_pose& pose) override {
    if (count_ == ring_.size()) grow();
    ring_[(first_ + count_++) & (ring_.size() - 1)] = pose;
  }

  // The oldest; there must be one.
  const pm_pose& take() {
    const pm_pose& pose = ring_[first_];
    first_ = (first_ + 1) & (ring_.size() - 1);
    --count_;
    return pose;
  }

  void clear() { count_ = 0; }

  void drop(int32_t person) {
    for (size_t left = count_; left > 0; --left) {
      const pm_pose pose = take();
      if (pose.person != person) put(pose);
    }
  }

 private:
  void grow() {
    std::vector<pm_pose> larger(ring_.empty() ? 64 : 2 * ring_.size());
    for (size_t i = 0; i < count_; ++i) larger[i] = ring_[(first_ + i) & (ring_.size() - 1)];
    ring_.swap(larger);
    first_ = 0;
  }

  std::vector<pm_pose> ring_;  // a power of two, or empty
  size_t first_ = 0, count_ = 0;
};

}  // namespace posemamba::runtime
