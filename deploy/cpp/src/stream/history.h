// The frames of one person that are still needed, in a ring: what was seen, where and when.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/keypoints.h"

namespace posemamba::runtime {

// One frame of a person. Kept small: a stream may hold thousands.
struct Entry {
  int64_t frame;
  double timestamp;
  double position;             // in model frames from the first entry of the track
  uint32_t seen;               // bit k: the format's k-th used joint was found
  float points[kMostUsed][2];  // pixels
  float joints[kJoints][2];    // normalised; only where every used joint was seen
};

// Entries have absolute indices: [begin, end) are there, older ones are gone.
class History {
 public:
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }
  bool empty() const { return begin_ == end_; }

  Entry& operator[](int64_t index) { return ring_[slot(index)]; }
  const Entry& operator[](int64_t index) const { return ring_[slot(index)]; }
  const Entry& back() const { return (*this)[end_ - 1]; }

  // Makes room for one more and returns it; allocates only where more are kept than ever before.
  Entry& append() {
    if (static_cast<size_t>(end_ - begin_) == ring_.size()) grow();
    return ring_[slot(end_++)];
  }

  void drop_before(int64_t index) {
    if (index > begin_) begin_ = index < end_ ? index : end_;
  }

  void clear() { begin_ = end_ = 0; }

  // First entry at or after a position, or end().
  int64_t at_or_after(double position) const {
    int64_t low = begin_;
    int64_t high = end_;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if ((*this)[middle].position < position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  size_t slot(int64_t index) const { return static_cast<size_t>(index) & (ring_.size() - 1); }

  void grow() {
    constexpr size_t kFirst = 64;
    std::vector<Entry> larger(ring_.empty() ? kFirst : 2 * ring_.size());
    for (int64_t i = begin_; i < end_; ++i) {
      larger[static_cast<size_t>(i) & (larger.size() - 1)] = (*this)[i];
    }
    ring_.swap(larger);
  }

  std::vector<Entry> ring_;  // a power of two, or empty
  int64_t begin_ = 0, end_ = 0;
};

}  // namespace posemamba::runtime
