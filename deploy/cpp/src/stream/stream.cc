#include "stream/stream.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

// Tracks of a stream, those that wait to be lifted included.
constexpr size_t kMostTracks = 1024;
// Points that count for what they seem to be: fewer prove nothing.
constexpr int kEnoughPoints = 3;
// Pixels nearer to the corner than this are no person, but fractions or normalised coordinates.
constexpr float kFraction = 2.0F;
// Seconds; what is beyond this is milliseconds or nanoseconds since 1970.
constexpr double kLatest = 1e11;

bool is_point(float x, float y) {
  const bool finite = std::isfinite(x) && std::isfinite(y);
  const bool zero = x == 0.0F && y == 0.0F;
  return finite && !zero && !(x < 0.0F && y < 0.0F);
}

}  // namespace

Stream::Stream(const Plan& plan, std::weak_ptr<Lifter> lifter)
    : plan_(plan), lifter_(std::move(lifter)) {}

// --- pushing

pm_result Stream::push(int64_t frame, double timestamp, int32_t person, const float* values,
                       int32_t count, int32_t columns) {
  if (values == nullptr) fail(PM_BAD_ARGUMENT, "values is NULL: give [count][columns] numbers");
  if (count != plan_.format->count) {
    fail(PM_BAD_ARGUMENT, "%d keypoints were pushed, %s has %d: give all, NaN where not found",
         count, plan_.format->name, plan_.format->count);
  }
  if (columns != 2 && columns != 3) {
    fail(PM_BAD_ARGUMENT, "columns is %d: give 2 (x, y) or 3 (x, y, confidence)", columns);
  }
  if (person < 0) fail(PM_BAD_ARGUMENT, "person is %d: give an id of 0 or more", person);
  if (lifter_.expired())
    fail(PM_BAD_ARGUMENT, "the lifter of this stream was closed: open another");
  check_pixels(values, count, columns);
  const Observation next = observe(frame, timestamp, values, columns);

  const std::lock_guard<std::mutex> lock(mutex_);
  const auto not_ready = [&](const std::string& what) {
    return report(PM_NOT_READY, "%s wait to be lifted: call %s first", what.c_str(),
                  poses_.full() ? "pm_stream_poll" : "pm_lifter_step");
  };
  Track* track = active(person);
  if (track != nullptr) {
    check_order(*track, next);
    if (track->waiting() >= kMostWaiting) {
      return not_ready(
          text("%lld frames of person %d", static_cast<long long>(track->waiting()), person));
    }
  }
  if (track == nullptr || !track->continues(plan_, next)) {
    if (tracks_.size() >= kMostTracks)
      return not_ready(text("%zu tracks of this stream", tracks_.size()));
    if (track != nullptr) track->end();
    track = open_track(person, next);
  }
  track->append(plan_, next);
  return PM_SUCCESS;
}

// Whether a keypoint, x, y and perhaps a confidence, was found.
bool Stream::found(const float* value, int32_t columns) const {
  const bool confident =
      columns == 2 || (value[2] > 0.0F && value[2] >= plan_.min_confidence);  // false for NaN
  return confident && is_point(value[0], value[1]);
}

// Refuses what cannot be pixels of the image, before anything is made of it.
void Stream::check_pixels(const float* values, int32_t count, int32_t columns) const {
  int points = 0;
  int outside = 0;
  float largest = 0.0F;
  for (int32_t i = 0; i < count; ++i) {
    if (!found(values + i * columns, columns)) continue;
    const float x = values[i * columns];
    const float y = values[i * columns + 1];
    const double px = static_cast<double>(x);
    const double py = static_cast<double>(y);
    ++points;
    largest = std::max({largest, std::abs(x), std::abs(y)});
    if (std::abs(px / plan_.width * 2.0 - 1.0) > kMostNormalised ||
        std::abs(py / plan_.width * 2.0 - plan_.height / plan_.width) > kMostNormalised) {
      fail(PM_BAD_ARGUMENT,
           "keypoint %d is at (%g, %g), far outside an image of %g x %g: give pixels, or the size "
           "of the image they refer to",
           i, px, py, plan_.width, plan_.height);
    }
    outside += px < -0.5 * plan_.width || px > 1.5 * plan_.width || py < -0.5 * plan_.height ||
               py > 1.5 * plan_.height;
  }
  if (points < kEnoughPoints) return;
  if (outside == points) {
    fail(PM_BAD_ARGUMENT,
         "all %d points lie far outside an image of %g x %g: give the size of the image they refer "
         "to",
         points, plan_.width, plan_.height);
  }
  if (largest <= kFraction && std::min(plan_.width, plan_.height) > 8.0 * kFraction) {
    fail(
        PM_BAD_ARGUMENT,
        "all %d points lie within %g pixels of the corner of an image of %g x %g, as fractions do: "
        "multiply x by the width and y by the height",
        points, static_cast<double>(largest), plan_.width, plan_.height);
  }
}

Observation Stream::observe(int64_t frame, double timestamp, const float* values,
                            int32_t columns) const {
  const bool needed = plan_.resampled || plan_.beta > 0.0;
  if (std::abs(timestamp) > kLatest) {
    fail(PM_BAD_ARGUMENT, "timestamp is %g: give seconds, or NaN", timestamp);
  }
  if (std::isnan(timestamp) && plan_.rate > 0.0) {
    timestamp = static_cast<double>(frame) / plan_.rate;
  }
  if (std::isnan(timestamp) && needed) {
    fail(PM_BAD_ARGUMENT, "timestamp is NaN, and %s needs it: give seconds, or the stream's rate",
         plan_.resampled ? "resampling" : "smoothing");
  }
  Observation next{frame, timestamp, 0, {}};
  for (int k = 0; k < plan_.format->used; ++k) {
    const float* value = values + plan_.format->indices[k] * columns;
    if (!found(value, columns)) continue;
    next.seen |= 1U << k;
    next.points[k][0] = value[0];
    next.points[k][1] = value[1];
  }
  return next;
}

void Stream::check_order(const Track& track, const Observation& next) const {
  if (next.frame <= track.last_frame()) {
    fail(PM_BAD_ARGUMENT,
         "frame %lld of person %d follows frame %lld: push frames in order of time, each once, or "
         "call pm_stream_reset before another recording",
         static_cast<long long>(next.frame), track.person(),
         static_cast<long long>(track.last_frame()));
  }
  const bool needed = plan_.resampled || plan_.beta > 0.0;
  const double last = track.latest();
  if (next.timestamp < last || (needed && next.timestamp - last < kShortestStep)) {
    fail(PM_BAD_ARGUMENT,
         "timestamp %.6f of frame %lld of person %d is not after %.6f: push frames in order of "
         "time, in seconds",
         next.timestamp, static_cast<long long>(next.frame), track.person(), last);
  }
}

Track* Stream::active(int32_t person) {
  for (const auto& track : tracks_) {
    if (track->person() == person && !track->ended()) return track.get();
  }
  return nullptr;
}

// A track for somebody new.
Track* Stream::open_track(int32_t person, const Observation& first) {
  make_room(person, first);
  if (spare_.empty()) spare_.push_back(std::make_unique<Track>());
  spare_.back()->start(plan_, person, next_serial_++);
  tracks_.push_back(std::move(spare_.back()));
  spare_.pop_back();
  return tracks_.back().get();
}

// Where all places are taken, whoever has been away longest gives theirs up.
void Stream::make_room(int32_t person, const Observation& first) {
  int count = 0;
  Track* oldest = nullptr;
  for (const auto& track : tracks_) {
    if (track->ended()) continue;
    ++count;
    if (oldest == nullptr || track->last_frame() < oldest->last_frame()) oldest = track.get();
  }
  if (count < plan_.max_persons) return;
  if (first.frame <= oldest->last_frame() || oldest->continues(plan_, first)) {
    fail(PM_BAD_ARGUMENT,
         "person %d is one too many: %d were there within the last %d frames; raise max_persons, "
         "or call pm_stream_end for who has left",
         person, count, plan_.max_gap);
  }
  oldest->end();
}

// --- polling and ending

pm_result Stream::poll(pm_pose* out) {
  if (out == nullptr) fail(PM_BAD_ARGUMENT, "out is NULL: give a pm_pose");
  if (out->struct_size != 0 && out->struct_size < sizeof *out) {
    fail(PM_BAD_ARGUMENT,
         "pm_pose.struct_size is %u, a pose has %zu bytes: set it to sizeof(pm_pose) first",
         out->struct_size, sizeof *out);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (poses_.size() > 0) {
    *out = poses_.take();
    return PM_SUCCESS;
  }
  if (!reason_.set) {
    return report(PM_NOT_READY, "no pose is due: push frames and call pm_lifter_step");
  }
  if (reason_.joint < 0) {
    return report(
        PM_NOT_READY,
        "no pose of person %d: no keypoint of theirs was found so far (all are NaN, (0, 0) "
        "or of confidence 0 or below %g): leave the third column out if the detector "
        "gives no confidence",
        reason_.person, static_cast<double>(plan_.min_confidence));
  }
  return report(
      PM_NOT_READY,
      "no pose of person %d: '%s' was not found in the window nor in the %d frames before "
      "it: show the whole body, or raise max_gap",
      reason_.person, plan_.format->names[reason_.joint], plan_.max_gap);
}

pm_result Stream::ready(int32_t* poses) {
  if (poses == nullptr) fail(PM_BAD_ARGUMENT, "poses is NULL: give an int32_t");
  const std::lock_guard<std::mutex> lock(mutex_);
  *poses = static_cast<int32_t>(poses_.size());
  return PM_SUCCESS;
}

pm_result Stream::flush() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& track : tracks_) track->end();
  return PM_SUCCESS;
}

pm_result Stream::end(int32_t person) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Track* track = active(person);
  if (track == nullptr) {
    fail(PM_BAD_ARGUMENT, "person %d is not in this stream: give the id of one who was pushed",
         person);
  }
  track->end();
  return PM_SUCCESS;
}

pm_result Stream::reset(int32_t person) {
  if (person < -1) fail(PM_BAD_ARGUMENT, "person is %d: give an id, or -1 for all", person);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto goes = [&](const auto& track) { return person == -1 || track->person() == person; };
  for (auto& track : tracks_) {
    if (goes(track)) spare_.push_back(std::move(track));
  }
  tracks_.erase(std::remove(tracks_.begin(), tracks_.end(), nullptr), tracks_.end());
  if (person == -1) {
    poses_.clear();
  } else {
    poses_.drop(person);
  }
  if (person == -1 || reason_.person == person) reason_.set = false;
  return PM_SUCCESS;
}

pm_result Stream::delay(int32_t* frames, double* seconds) const {
  const double unit = plan_.resampled ? plan_.rate / plan_.model_rate : 1.0;
  const double model_frames = plan_.blend ? plan_.window - 1 : plan_.lag;
  const double rate = plan_.rate > 0.0 ? plan_.rate : plan_.model_rate;
  constexpr double kTwoPi = 6.283185307179586;
  const double smoothing = plan_.beta > 0.0 ? 1.0 / (kTwoPi * kCutoff) : 0.0;
  const double input_frames = model_frames * unit + smoothing * rate;
  if (frames != nullptr) *frames = static_cast<int32_t>(std::ceil(input_frames - kSlack));
  if (seconds != nullptr) {
    *seconds = rate > 0.0 ? input_frames / rate : std::numeric_limits<double>::quiet_NaN();
  }
  return PM_SUCCESS;
}

// --- lifting

// Poses come out oldest first: a track waits for an earlier one of the same person.
bool Stream::blocked(size_t track) const {
  for (size_t i = 0; i < track; ++i) {
    if (tracks_[i]->person() == tracks_[track]->person()) return true;
  }
  return false;
}

void Stream::begin_step() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& track : tracks_) track->begin_step();
}

void Stream::gather(Batch& batch, WindowFiller& filler) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (poses_.full()) return;
  for (size_t i = 0; i < tracks_.size(); ++i) {
    if (!blocked(i) && !gather_track(*tracks_[i], batch, filler)) break;
  }
  retire();
}

// False: the batch is full.
bool Stream::gather_track(Track& track, Batch& batch, WindowFiller& filler) {
  const int clips = plan_.flip ? 2 : 1;
  track.rewind();
  bool gathered = false;
  for (DueWindow window{}; track.due(plan_, window);) {
    const int frames = window.spec.frames();
    if (!batch.takes(frames, clips)) return batch.clips + clips <= kMostClips;
    float* clip = batch.room(frames, clips);
    const int missing = filler.fill(plan_, track.history(), window.spec, clip);
    if (missing >= 0) {
      if (gathered) return true;  // windows are committed in order
      reason_ = {true, track.person(), track.anything_seen() ? missing : -1};
      track.commit(plan_, window, nullptr, poses_);
      continue;
    }
    if (plan_.flip) mirror(clip, frames, 2, clip + frames * kInputFloats);
    batch.items.push_back({shared_from_this(), track.serial(), window, batch.clips});
    batch.clips += clips;
    track.advance(plan_);
    gathered = true;
  }
  return true;
}

void Stream::commit(uint64_t serial, const DueWindow& window, const float* poses) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& track : tracks_) {
    if (track->serial() != serial) continue;
    track->commit(plan_, window, poses, poses_);
    reason_.set = reason_.set && reason_.person != track->person();
  }
  retire();
}

// Takes finished tracks out, and keeps their memory.
void Stream::retire() {
  for (auto& track : tracks_) {
    if (track->finished()) spare_.push_back(std::move(track));
  }
  tracks_.erase(std::remove(tracks_.begin(), tracks_.end(), nullptr), tracks_.end());
}

}  // namespace posemamba::runtime
