// What the stand-in runtimes compute: cheap, but each pose depends on the whole clip and on its
// place in it, and mirroring the input does not mirror the output. The tests' Python has it too.
#pragma once

#include <cmath>
#include <cstdint>

namespace stand_in {

inline void lift(const float* input, int64_t batch, int64_t frames, float* output) {
  for (int64_t b = 0; b < batch; ++b) {
    const float* clip = input + b * frames * 34;
    for (int64_t j = 0; j < 17; ++j) {
      float before = clip[2 * j];  // a running mean from the front: knows where the clip began
      for (int64_t t = 0; t < frames; ++t) {
        const float x = clip[t * 34 + 2 * j];
        const float y = clip[t * 34 + 2 * j + 1];
        before = 0.8F * before + 0.2F * x;
        const float last = clip[(frames - 1) * 34 + 2 * j];
        float* pose = output + ((b * frames + t) * 17 + j) * 3;
        pose[0] = x + 0.1F * last;
        pose[1] = y + 0.01F * static_cast<float>(j);
        pose[2] = before + 0.001F * static_cast<float>(frames - t);
      }
    }
  }
}

}  // namespace stand_in
