#include "core/lifter.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/failure.h"
#include "core/json.h"

namespace posemamba::runtime {
namespace {

std::string optional(const std::string& value) { return value.empty() ? "null" : quoted(value); }

std::string sizes_json(const Sizes& sizes) {
  const auto most = [](int64_t size) {
    return size == 0 ? std::string("null") : std::to_string(size);
  };
  return "\"frames\": {\"min\": " + std::to_string(sizes.frames_min) +
         ", \"max\": " + most(sizes.frames_max) +
         "}, \"batch\": {\"min\": " + std::to_string(sizes.batch_min) +
         ", \"max\": " + most(sizes.batch_max) + "}";
}

std::string make_info(const ModelFacts& model, const BackendFacts& facts) {
  std::string json = "{\"model\": " + quoted(model.path);
  json += ", \"backend\": " + quoted(facts.name);
  json += ", \"why\": " + optional(facts.why);
  json += ", \"device\": " + quoted(facts.device);
  json += ", \"precision\": " + optional(model.precision);
  json += ", " + sizes_json(model.sizes);
  json += ", \"variant\": " + optional(model.variant);
  json += ", \"scan_order\": " + optional(model.scan_order);
  json += ", \"ops\": " + optional(model.ops);
  json += ", \"tool_version\": " + optional(model.tool_version);
  json += ", \"checkpoint\": " + optional(model.checkpoint);
  json += ", \"runtime_library\": " + quoted(facts.library);
  json += ", \"runtime_version\": " + quoted(facts.library_version);
  json += ", \"op_library\": " + optional(facts.op_library);
  json += std::string(", \"cuda_graph\": ") + (facts.cuda_graph ? "true" : "false");
  json += std::string(", \"tf32\": ") + (!facts.tf32 ? "null" : *facts.tf32 ? "true" : "false");
  json += ", \"version\": " + quoted(pm_version());
  return json + "}";
}

bool all_finite(const float* values, int64_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

// The place of a value in [batch][frames][17][2], as a part of a sentence.
std::string place(int64_t index, int64_t frames) {
  const int64_t joint = index / 2;
  return text("clip %lld, frame %lld, joint %lld", static_cast<long long>(joint / kJoints / frames),
              static_cast<long long>(joint / kJoints % frames),
              static_cast<long long>(joint % kJoints));
}

void check_keypoints(const float* values, int64_t batch, int64_t frames) {
  for (int64_t i = 0; i < batch * frames * kInputFloats; ++i) {
    if (!std::isfinite(values[i])) {
      fail(PM_BAD_ARGUMENT, "keypoints_2d is %g at %s: fill gaps first, or push into a stream",
           static_cast<double>(values[i]), place(i, frames).c_str());
    }
    if (std::abs(static_cast<double>(values[i])) > kMostNormalised) {
      fail(PM_BAD_ARGUMENT,
           "keypoints_2d is %g at %s, normalised coordinates stay near 1: normalise pixels by "
           "p / width * 2 - [1, height / width]",
           static_cast<double>(values[i]), place(i, frames).c_str());
    }
  }
}

}  // namespace

Lifter::Lifter(std::unique_ptr<Backend> backend)
    : backend_(std::move(backend)), info_(make_info(backend_->model(), backend_->facts())) {}

void Lifter::lift(const float* keypoints_2d, int64_t batch, int64_t frames, float* poses_3d) {
  constexpr int64_t kMostBatch = 1 << 20;
  const Sizes& sizes = backend_->model().sizes;
  const int64_t most_frames = sizes.frames_max > 0 ? sizes.frames_max : kMostFrames;
  if (keypoints_2d == nullptr || poses_3d == nullptr) {
    fail(PM_BAD_ARGUMENT, "keypoints_2d or poses_3d is NULL: give both arrays");
  }
  if (batch < 1 || batch > kMostBatch) {
    fail(PM_BAD_ARGUMENT, "batch is %lld: give 1 to %lld clips", static_cast<long long>(batch),
         static_cast<long long>(kMostBatch));
  }
  if (frames < sizes.frames_min || frames > most_frames) {
    fail(
        PM_BAD_ARGUMENT,
        "keypoints_2d has %lld frames, '%s' takes %lld to %lld: cut it into clips, or use a stream",
        static_cast<long long>(frames), backend_->model().path.c_str(),
        static_cast<long long>(sizes.frames_min), static_cast<long long>(most_frames));
  }
  check_keypoints(keypoints_2d, batch, frames);
  const std::lock_guard<std::mutex> lock(run_mutex_);
  run(keypoints_2d, batch, frames, poses_3d);
}

// In parts of what the back end takes; a part that is too small is filled with its last clip.
void Lifter::run(const float* input, int64_t batch, int64_t frames, float* output) {
  const int64_t in = frames * kInputFloats;
  const int64_t out = frames * kOutputFloats;
  const auto bytes = [](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
  for (int64_t done = 0; done < batch;) {
    const int64_t part = std::min(batch - done, backend_->max_batch());
    const int64_t given = std::max(part, backend_->model().sizes.batch_min);
    backend_->reserve(given, frames);
    std::memcpy(backend_->input(), input + done * in, bytes(part * in));
    for (int64_t i = part; i < given; ++i) {
      std::memcpy(backend_->input() + i * in, input + (done + part - 1) * in, bytes(in));
    }
    backend_->run(given, frames);
    std::memcpy(output + done * out, backend_->output(), bytes(part * out));
    done += part;
  }
}

std::shared_ptr<Stream> Lifter::open_stream(const pm_stream_options& options) {
  auto stream = std::make_shared<Stream>(make_plan(options, model()), weak_from_this());
  const std::lock_guard<std::mutex> lock(streams_mutex_);
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                [](const auto& known) { return known.expired(); }),
                 streams_.end());
  streams_.push_back(stream);
  return stream;
}

int Lifter::step() {
  const std::lock_guard<std::mutex> lock(run_mutex_);
  {
    const std::lock_guard<std::mutex> streams_lock(streams_mutex_);
    for (const auto& known : streams_) {
      if (auto stream = known.lock()) serving_.push_back(std::move(stream));
    }
  }
  struct Clear {
    Lifter& lifter;
    ~Clear() {
      lifter.batch_.clear();
      lifter.serving_.clear();
    }
  } clear{*this};
  // Cameras that are faster than the network would else keep the caller here.
  for (const auto& stream : serving_) stream->begin_step();
  Lifted all{};
  for (Lifted batch; (batch = lift_batch()).windows > 0;) {
    all.windows += batch.windows, all.wrong += batch.wrong;
  }
  // Told once all is lifted: one person's window keeps no other waiting, and is not due again.
  if (all.wrong > 0) {
    fail(PM_BACKEND_FAILED,
         "the network gave NaN or infinity in %d of %d windows, which have no pose: check the "
         "model with 'pmexport check %s'",
         all.wrong, all.windows, model().path.c_str());
  }
  return all.windows;
}

// One batch through the network; no window when nothing is due.
Lifter::Lifted Lifter::lift_batch() {
  batch_.clear();
  for (const auto& stream : serving_) stream->gather(batch_, filler_);
  if (batch_.items.empty()) return {};
  const int64_t clip = batch_.frames * kOutputFloats;
  const auto wanted = static_cast<size_t>(batch_.clips * clip);
  if (batch_.output.size() < wanted) batch_.output.resize(wanted);
  if (batch_.mean.size() < static_cast<size_t>(2 * clip)) {
    batch_.mean.resize(static_cast<size_t>(2 * clip));
  }
  run(batch_.input.data(), batch_.clips, batch_.frames, batch_.output.data());
  int wrong = 0;
  for (const Batch::Item& item : batch_.items) {
    const float* poses = batch_.output.data() + item.clip * clip;
    const bool numbers = all_finite(poses, item.stream->flips() ? 2 * clip : clip);
    if (item.stream->flips()) {
      float* mean = batch_.mean.data();
      mirror(poses + clip, batch_.frames, 3, mean);
      for (int64_t i = 0; i < clip; ++i) mean[i] = (poses[i] + mean[i]) / 2.0F;
      poses = mean;
    }
    item.stream->commit(item.track, item.window, numbers ? poses : nullptr);
    wrong += !numbers;
  }
  return {static_cast<int>(batch_.items.size()), wrong};
}

}  // namespace posemamba::runtime
