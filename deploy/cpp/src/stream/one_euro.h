// The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012) over the coordinates of one pose: a
// low-pass whose cutoff rises with speed, so that rest is steady and movement is not late.
#pragma once

#include <array>
#include <cstddef>

namespace posemamba::runtime {

class OneEuro {
 public:
  static constexpr size_t kValues = 51;
  using Values = std::array<double, kValues>;

  void reset() { started_ = false; }

  // Filters in place. seconds: since the last call; not used by the first. cutoff in Hz.
  void filter(Values& values, double seconds, double cutoff, double beta) {
    if (!started_) {
      started_ = true;
      last_ = values;
      speed_.fill(0.0);
      return;
    }
    const double speed_share = share(seconds, cutoff);
    for (size_t i = 0; i < kValues; ++i) {
      const double speed = (values[i] - last_[i]) / seconds;
      speed_[i] += speed_share * (speed - speed_[i]);
      const double fast = speed_[i] < 0.0 ? -speed_[i] : speed_[i];
      last_[i] += share(seconds, cutoff + beta * fast) * (values[i] - last_[i]);
    }
    values = last_;
  }

 private:
  // Share of the new value in an exponential mean with that cutoff.
  static double share(double seconds, double cutoff) {
    constexpr double kTwoPi = 6.283185307179586;
    return 1.0 - 1.0 / (kTwoPi * cutoff * seconds + 1.0);
  }

  bool started_ = false;
  Values last_{};
  Values speed_{};
};

}  // namespace posemamba::runtime
