// Due windows of many streams on their way through the network, all of one length.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "stream/track.h"

namespace posemamba::runtime {

class Stream;

// Clips in a batch at most: more would need memory without being faster.
constexpr int kMostClips = 32;

struct Batch {
  struct Item {
    std::shared_ptr<Stream> stream;
    uint64_t track;  // its serial number
    DueWindow window;
    int clip;  // the first; with flip, the mirrored one follows
  };

  void clear() {
    items.clear();
    frames = clips = 0;
  }
  // Whether a window of that many frames may join.
  bool takes(int window_frames, int more) const {
    return clips + more <= kMostClips && (clips == 0 || window_frames == frames);
  }
  // Input of the next clip, with room for `more`.
  float* room(int window_frames, int more) {
    frames = window_frames;
    const auto wanted = static_cast<size_t>((clips + more) * kInputFloats * frames);
    if (input.size() < wanted) input.resize(wanted);
    return input.data() + clips * kInputFloats * frames;
  }

  std::vector<Item> items;
  int frames = 0;
  int clips = 0;
  std::vector<float> input;   // [clips][frames][17][2]
  std::vector<float> output;  // [clips][frames][17][3]
  std::vector<float> mean;    // [frames][17][3], of a clip and its mirror
};

}  // namespace posemamba::runtime
