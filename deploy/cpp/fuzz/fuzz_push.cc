// Bytes as a stream's options and a sequence of calls: pushes of any frames, times, persons and
// points; steps, polls, flushes and resets between them. Every pose is finite, of a person pushed,
// and in order; nothing crashes.
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "../tests/stand_in_network.h"
#include "core/failure.h"
#include "core/lifter.h"

using namespace posemamba::runtime;

namespace {

class StandIn : public Backend {
 public:
  explicit StandIn(int64_t frames_min) { model_.sizes = {1, 3, frames_min, 27}; }
  float* input() override { return input_.data(); }
  const float* output() const override { return output_.data(); }
  int64_t max_batch() const override { return 3; }
  void reserve(int64_t batch, int64_t frames) override {
    input_.resize(static_cast<size_t>(batch * frames * kInputFloats));
    output_.resize(static_cast<size_t>(batch * frames * kOutputFloats));
  }
  void run(int64_t batch, int64_t frames) override {
    if (frames < model_.sizes.frames_min || frames > 27 || batch > 3) __builtin_trap();
    for (const float value : input_) {
      if (!std::isfinite(value)) __builtin_trap();
    }
    stand_in::lift(input_.data(), batch, frames, output_.data());
  }

 private:
  std::vector<float> input_, output_;
};

class Bytes {
 public:
  Bytes(const unsigned char* data, size_t bytes) : data_(data), left_(bytes) {}
  bool empty() const { return left_ == 0; }
  int byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  template <class T>
  T any() {
    T value{};
    unsigned char raw[sizeof(T)];
    for (unsigned char& part : raw) part = static_cast<unsigned char>(byte());
    std::memcpy(&value, raw, sizeof value);
    return value;
  }

 private:
  const unsigned char* data_;
  size_t left_;
};

constexpr const char* kPolicies[] = {"last", "center", "lag", "blend", "other"};

pm_stream_options options_from(Bytes& bytes) {
  pm_stream_options options;
  pm_stream_default_options(&options);
  options.keypoints = kFormats[static_cast<size_t>(bytes.byte()) % std::size(kFormats)].name;
  options.width = 1 + bytes.byte() * 8;
  options.height = 1 + bytes.byte() * 8;
  options.window = bytes.byte() % 29;
  options.hop = bytes.byte() % 8;
  options.policy = kPolicies[bytes.byte() % 5];
  options.lag = bytes.byte() % 27;
  const int choices = bytes.byte();
  options.rate = choices & 1 ? bytes.byte() : 0.0;
  options.model_rate = choices & 2 ? bytes.byte() : 0.0;
  options.flip = choices >> 2 & 1;
  options.smoothing = choices & 8 ? static_cast<float>(bytes.byte()) / 16.0F : 0.0F;
  options.height_m = choices & 16 ? 1.7F : 0.0F;
  options.max_persons = 1 + (choices >> 5 & 3);
  options.max_gap = bytes.byte() % 40;
  return options;
}

void drain(Stream& stream, std::map<int32_t, int64_t>& newest) {
  pm_pose pose{};
  while (stream.poll(&pose) == PM_SUCCESS) {
    if (newest.count(pose.person) == 0) __builtin_trap();
    for (const auto& joint : pose.joints) {
      for (const float value : joint) {
        if (!std::isfinite(value)) __builtin_trap();
      }
    }
    if (pose.filled >> 17 != 0) __builtin_trap();
  }
}

void play(Bytes& bytes) {
  auto lifter = std::make_shared<Lifter>(std::make_unique<StandIn>(bytes.byte() % 2 == 0 ? 1 : 5));
  const pm_stream_options options = options_from(bytes);
  const auto stream = lifter->open_stream(options);
  const int32_t count = find_format(options.keypoints).count;
  std::map<int32_t, int64_t> newest;
  std::vector<float> values(static_cast<size_t>(count) * 3);
  int64_t frame = 0;
  for (int calls = 0; !bytes.empty() && calls < 500; ++calls) {
    const int kind = bytes.byte();
    const int32_t person = kind >> 4 & 3;
    try {
      switch (kind & 15) {
        case 0:
          lifter->step();
          break;
        case 1:
          drain(*stream, newest);
          break;
        case 2:
          stream->flush();
          break;
        case 3:
          stream->reset(person - 1);
          break;
        case 4:
          stream->end(person);
          break;
        default: {
          frame = kind & 8 ? frame + bytes.byte() % 6
                           : (bytes.byte() % 8 == 0 ? bytes.any<int64_t>() : frame + 1);
          const double time = kind & 4 ? static_cast<double>(frame) / 30.0 : bytes.any<double>();
          for (float& value : values) {
            const int chosen = bytes.byte();
            value = chosen == 255 ? bytes.any<float>() : static_cast<float>(chosen * 4);
          }
          newest[person];  // a refused push may follow a taken one
          stream->push(frame, time, person, values.data(), count, kind & 2 ? 3 : 2);
        }
      }
    } catch (const Failure& failure) {
      if (failure.sentence.empty()) __builtin_trap();
    }
  }
  stream->flush();
  lifter->step();
  drain(*stream, newest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  Bytes bytes(data, size);
  try {
    play(bytes);
  } catch (const Failure& failure) {
    if (failure.sentence.empty()) __builtin_trap();
  }
  return 0;
}
