// From the network's units to metres, by a person's height.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "stream/one_euro.h"

namespace posemamba::runtime {

// Keeps the median of a person's first poses' heights, so that one bad pose does not matter and
// the factor stands still afterwards.
class BodyScale {
 public:
  void reset() { count_ = 0; }

  // Takes a pose in and returns metres a unit.
  double update(const OneEuro::Values& pose, double height_m) {
    if (count_ < kPoses) {
      const double height = pose_height(pose);
      double* end = heights_.data() + count_;
      double* place = std::upper_bound(heights_.data(), end, height);
      std::copy_backward(place, end, end + 1);
      *place = height;
      ++count_;
    }
    const double median = (heights_[(count_ - 1) / 2] + heights_[count_ / 2]) / 2.0;
    return median > 0.0 ? kChainShare * height_m / median : 0.0;
  }

 private:
  static constexpr size_t kPoses = 256;
  // The ankle is 0.039 of the body's height above the floor (Drillis and Contini 1966).
  static constexpr double kChainShare = 0.961;

  static double bone(const OneEuro::Values& pose, size_t from, size_t to) {
    return std::hypot(pose[3 * to] - pose[3 * from], pose[3 * to + 1] - pose[3 * from + 1],
                      pose[3 * to + 2] - pose[3 * from + 2]);
  }

  // Head, nose, neck, belly, root, then the mean of both legs: knee and ankle.
  static double pose_height(const OneEuro::Values& pose) {
    const double trunk = bone(pose, 10, 9) + bone(pose, 9, 8) + bone(pose, 8, 7) + bone(pose, 7, 0);
    const double legs = bone(pose, 1, 2) + bone(pose, 2, 3) + bone(pose, 4, 5) + bone(pose, 5, 6);
    return trunk + legs / 2.0;
  }

  std::array<double, kPoses> heights_{};
  size_t count_ = 0;
};

}  // namespace posemamba::runtime
