// Everything at once, for the sanitizers: every policy with gaps, missing joints, several persons,
// flip, smoothing, metres and resampling; misuse; and threads that push, step, poll, reset and
// close beside each other. Prints nothing where all is well.
//
//   exercise MODEL runtime_library
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "posemamba/runtime/lifter.hpp"

namespace {

void require(bool truth, const char* what) {
  if (truth) return;
  std::fprintf(stderr, "%s (%s)\n", what, pm_last_error());
  std::exit(1);
}

void fill(float (&values)[17][3], std::int64_t frame, int person) {
  for (int joint = 0; joint < 17; ++joint) {
    const double phase = 0.1 * static_cast<double>(frame) + joint + person;
    values[joint][0] = static_cast<float>(900.0 + 200.0 * std::sin(phase));
    values[joint][1] = static_cast<float>(500.0 + 200.0 * std::cos(phase));
    values[joint][2] = (frame + joint) % 11 == 0 ? 0.0F : 0.9F;
  }
}

long drain(posemamba::Stream& stream) {
  long poses = 0;
  while (auto pose = stream.poll()) {
    for (const auto& joint : pose->joints) require(std::isfinite(joint[0]), "a pose is no number");
    ++poses;
  }
  return poses;
}

void one_after_another(posemamba::Lifter& lifter) {
  for (const char* policy : {"last", "center", "lag", "blend"}) {
    for (int variant = 0; variant < 4; ++variant) {
      posemamba::StreamOptions options;
      options.width = 1920, options.height = 1080;
      options.policy = policy;
      options.lag = policy[0] == 'l' && policy[2] == 'g' ? 3 : 0;
      options.window = variant == 0 ? 0 : 9;
      options.hop = variant == 1 ? 3 : 1;
      options.flip = variant == 2;
      options.rate = variant == 3 ? 30.0 : 60.0;
      options.model_rate = variant == 3 ? 50.0 : 0.0;
      options.smoothing = variant == 2 ? 0.7F : 0.0F;
      options.height_m = variant == 2 ? 1.7F : 0.0F;
      options.max_persons = 3;
      posemamba::Stream stream = lifter.stream(options);
      float values[17][3];
      for (std::int64_t frame = 0; frame < 200; ++frame) {
        if (frame % 23 == 5) continue;                                      // a frame was dropped
        const std::int64_t number = frame < 120 ? frame : frame + 1000000;  // away for long
        for (int person = 0; person < 3; ++person) {
          if (person == 2 && frame > 40 && frame <= 160) continue;
          fill(values, frame, person);
          stream.push(number, NAN, person == 2 && frame > 160 ? 12 : person, values);
        }
        if (frame % 13 == 0) lifter.step();
      }
      stream.flush();
      lifter.step();
      require(drain(stream) > 0, "no pose came");
    }
  }
}

void beside_each_other(posemamba::Lifter& lifter) {
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  options.window = 9;
  options.policy = "center";
  posemamba::Stream shared = lifter.stream(options);
  std::atomic<bool> running{true};
  std::vector<std::thread> threads;
  for (int person = 0; person < 4; ++person) {
    threads.emplace_back([&, person] {
      float values[17][3];
      for (std::int64_t frame = 0; frame < 400; ++frame) {
        fill(values, frame, person);
        pm_stream_push(shared.get(), frame, NAN, person, values[0], 17, 3);
        if (frame % 50 == 49 && person == 3) pm_stream_reset(shared.get(), person);
      }
    });
  }
  threads.emplace_back([&] {
    while (running) {
      pm_lifter_step(lifter.get(), nullptr);
      std::this_thread::yield();
    }
  });
  threads.emplace_back([&] {
    pm_pose pose{};
    while (running) pm_stream_poll(shared.get(), &pose);
  });
  threads.emplace_back([&] {  // streams that come and go, and are used after they are closed
    float values[17][3];
    fill(values, 1, 1);
    while (running) {
      posemamba::Stream other = lifter.stream(options);
      other.push(0, NAN, 0, values);
      pm_stream* handle = other.get();
      std::thread user([handle, &values] {
        pm_stream_push(handle, 1, NAN, 0, values[0], 17, 3);
        pm_stream_flush(handle);
      });
      other = lifter.stream(options);
      user.join();
      require(pm_stream_flush(handle) == PM_BAD_ARGUMENT, "a closed stream was taken");
    }
  });
  for (int i = 0; i < 4; ++i) threads[static_cast<size_t>(i)].join();
  running = false;
  for (size_t i = 4; i < threads.size(); ++i) threads[i].join();
}

// Enough windows for the library's own threads to share them; again, to wake those that wait.
void many_at_once(posemamba::Lifter& lifter) {
  constexpr int64_t kBatch = 24, kFrames = 27;
  std::vector<float> keypoints(kBatch * kFrames * 17 * 2), alone(kFrames * 17 * 3);
  for (size_t i = 0; i < keypoints.size(); ++i) {
    keypoints[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
  }
  std::vector<float> poses(kBatch * kFrames * 17 * 3);
  for (int again = 0; again < 20; ++again) {
    std::fill(poses.begin(), poses.end(), -7.0F);
    lifter.lift(keypoints.data(), kBatch, kFrames, poses.data());
    const int64_t clip = again % kBatch;
    lifter.lift(keypoints.data() + clip * kFrames * 34, 1, kFrames, alone.data());
    require(std::equal(alone.begin(), alone.end(), poses.begin() + clip * kFrames * 51),
            "a clip among many has other poses than alone");
  }
}

void misuse(posemamba::Lifter& lifter) {
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  posemamba::Stream stream = lifter.stream(options);
  float values[17][3];
  fill(values, 1, 0);
  values[3][0] = NAN;
  values[4][1] = INFINITY;
  stream.push(INT64_MIN, NAN, 0, values);
  stream.push(INT64_MAX, NAN, 0, values);
  require(pm_stream_push(stream.get(), 5, NAN, 0, values[0], 17, 3) == PM_BAD_ARGUMENT,
          "backwards");
  require(pm_stream_push(stream.get(), 5, NAN, 1, values[0], 16, 3) == PM_BAD_ARGUMENT,
          "16 joints");
  require(pm_stream_push(nullptr, 5, NAN, 1, values[0], 17, 3) == PM_BAD_ARGUMENT, "NULL");
  lifter.step();
  pm_lifter* handle = lifter.get();
  posemamba::Lifter moved = std::move(lifter);
  posemamba::Stream survivor = moved.stream(options);
  pm_lifter_close(handle);
  require(pm_lifter_step(handle, nullptr) == PM_BAD_ARGUMENT, "a closed lifter was taken");
  require(pm_stream_push(survivor.get(), 0, NAN, 0, values[0], 17, 3) == PM_BAD_ARGUMENT,
          "a stream without a lifter took a frame");
}

}  // namespace

int main(int, char** words) {
  posemamba::LifterOptions options;
  options.backend = "onnxruntime-cpu";
  options.runtime_library = words[2];
  options.threads = 3;
  posemamba::Lifter lifter(words[1], options);
  one_after_another(lifter);
  beside_each_other(lifter);
  many_at_once(lifter);
  misuse(lifter);
  return 0;
}
