// Detector keypoints to the 17 Human3.6M joints: weighted means, from one generated table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace posemamba::runtime {

// Adds weight * source[axis] to a joint's coordinate; `source` counts among the joints used.
struct Term {
  int joint, axis, source;
  double weight;
};

// For a joint that was never seen, the joints whose mean takes its place.
struct StandIn {
  int joint, count;
  int others[2];
};

struct KeypointFormat {
  const char* name;
  const char* title;
  int count;                 // joints the detector gives
  int used;                  // of these, how many a Human3.6M joint depends on
  const int* indices;        // [used] place of each in the detector's order
  const char* const* names;  // [used]
  const Term* terms;
  size_t term_count;
  const StandIn* stand_ins;
  size_t stand_in_count;
};

// No format uses more joints than this; seen joints are bits of a 32-bit mask.
constexpr int kMostUsed = 24;

#include "formats/keypoint_table.inc"

// The format of a name; throws Failure(PM_BAD_ARGUMENT) that lists the names.
const KeypointFormat& find_format(const char* name);

// Bit j of the result: joint j depends on a source joint that is not in `seen`.
uint32_t filled_joints(const KeypointFormat& format, uint32_t seen);

// Pixels [used][2] to normalised joints [17][2]: p / width * 2 - [1, height / width].
void to_joints(const KeypointFormat& format, const double* points, double width, double height,
               float* joints);

// Mirrors [frames][17][channels]: x negated, left and right swapped.
void mirror(const float* values, int64_t frames, int channels, float* mirrored);

}  // namespace posemamba::runtime
