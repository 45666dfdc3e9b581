// A window of a person's frames, made ready for the network: gaps filled, joints converted,
// coordinates normalised.
#pragma once

#include <vector>

#include "stream/history.h"
#include "stream/plan.h"

namespace posemamba::runtime {

// Positions are compared with this slack, in model frames: frame numbers are exact, but seconds
// since 1970 are rounded to 0.24 us.
constexpr double kSlack = 1e-4;

struct WindowSpec {
  double start;  // position of the first sample; the others follow one by one
  int samples;   // without padding
  int padding;   // copies of the first sample in front, for a model that takes no shorter clip
  int frames() const { return samples + padding; }
};

// Memory for filling, shared by all windows of a lifter, so that nothing is allocated once it has
// grown to the largest.
class WindowFiller {
 public:
  // Writes [frames][17][2]. Returns -1, or the used joint that no frame of the window or the
  // max_gap before it shows; out is then not written.
  int fill(const Plan& plan, const History& history, const WindowSpec& window, float* out);

 private:
  void gather(const Plan& plan, const History& history, int64_t first, int64_t last);
  int stand_in(const KeypointFormat& format);
  void interpolate(const KeypointFormat& format, const WindowSpec& window);

  struct Sighting {
    double x, y;
    bool seen;
  };
  int64_t entries_ = 0;
  std::vector<double> positions_;    // [entries]
  std::vector<Sighting> sightings_;  // [used][entries]
  std::vector<double> points_;       // [samples][used][2]
};

}  // namespace posemamba::runtime
