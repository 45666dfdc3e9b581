// What a stream does, resolved from its options and the model: every rule is checked here, once.
#pragma once

#include <cstdint>

#include "backends/backend.h"
#include "formats/keypoints.h"
#include "posemamba/runtime/lifter.h"

namespace posemamba::runtime {

constexpr int kMostPersons = 256;
constexpr int kLongestGap = 4096;
// Frames of a person that may wait for pm_lifter_step.
constexpr int64_t kMostWaiting = 16384;
// Seconds between frames at least, where they are divided by.
constexpr double kShortestStep = 1e-6;
// The One-Euro filter's cutoff at rest and of its speed estimate, Hz (Casiez, Roussel, Vogel 2012).
constexpr double kCutoff = 1.0;

struct Plan {
  const KeypointFormat* format;
  double width, height;
  int window, hop, lag;
  bool blend;
  double rate, model_rate;  // 0: unknown
  bool resampled;           // positions are times in model frames, else frame numbers
  float min_confidence;
  int max_persons;
  bool flip;
  double beta;      // 0: no smoothing
  double height_m;  // 0: network units
  int max_gap;      // frames of the input
  double reach;     // max_gap in positions: how far back a window looks, and a person may be away
  int shortest;     // frames the model takes at least; shorter clips are padded in front
};

// Throws Failure(PM_BAD_ARGUMENT or PM_BAD_MODEL).
Plan make_plan(const pm_stream_options& options, const ModelFacts& model);

// Copies options of any version into the one known here; what the caller does not have is 0.
// Throws Failure(PM_BAD_ARGUMENT) for a struct that no default function filled.
pm_stream_options read_options(const pm_stream_options* options);
pm_lifter_options read_options(const pm_lifter_options* options);

}  // namespace posemamba::runtime
