#include "stream/track.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace posemamba::runtime {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Frames between two frame numbers, or a number beyond every gap where they are that far apart.
int64_t distance(int64_t from, int64_t to) {
  int64_t difference = 0;
  const bool overflows = __builtin_sub_overflow(to, from, &difference);
  return overflows ? INT64_MAX : difference;
}

// Weight of a frame at place u of a window of `samples`: a raised cosine over the frames that the
// window shares with the one before or after it, so that it comes in and goes out with no step; 1
// between. Never 0.
double weight_in(double u, int samples, const Plan& plan) {
  const double ramp = std::min(samples / 2.0, std::max(plan.window - plan.hop, 1) * 1.0);
  const double inside = (std::min(u, samples - 1.0 - u) + 0.5) / ramp;
  const double s = std::sin(kPi / 2.0 * std::min(inside, 1.0));
  return s * s;
}

}  // namespace

void Track::start(const Plan& plan, int32_t person, uint64_t serial) {
  person_ = person;
  serial_ = serial;
  ended_ = anything_seen_ = false;
  history_.clear();
  latest_ = std::numeric_limits<double>::quiet_NaN();
  next_ = cursor_ = next_output_ = horizon_ = 0;
  closing_ = false;
  filter_.reset();
  scale_.reset();
  if (plan.blend && sums_.empty()) sums_.resize(64);
  for (Sum& sum : sums_) sum.fill(0.0);
}

bool Track::continues(const Plan& plan, const Observation& next) const {
  const int64_t frames = distance(last_frame(), next.frame);
  if (frames - 1 > plan.max_gap) return false;
  return !plan.resampled || (next.timestamp - last_timestamp()) * plan.model_rate <= plan.reach;
}

void Track::append(const Plan& plan, const Observation& observation) {
  if (!history_.empty()) {
    const int64_t from = last_frame();
    const double since = last_timestamp();
    const int64_t frames = distance(from, observation.frame);
    const double step = (observation.timestamp - since) / static_cast<double>(frames);
    for (int64_t i = 1; i < frames; ++i) {
      push_entry(plan, {from + i, since + step * static_cast<double>(i), 0, {}});
    }
  }
  push_entry(plan, observation);
  if (!std::isnan(observation.timestamp)) latest_ = observation.timestamp;
}

void Track::push_entry(const Plan& plan, const Observation& observation) {
  const int64_t index = history_.end();
  const bool first = history_.empty();
  const double position =
      first ? 0.0
      : plan.resampled
          ? history_.back().position + (observation.timestamp - last_timestamp()) * plan.model_rate
          : static_cast<double>(index);
  Entry& entry = history_.append();
  entry.frame = observation.frame;
  entry.timestamp = observation.timestamp;
  entry.position = position;
  entry.seen = observation.seen;
  std::memcpy(entry.points, observation.points, sizeof entry.points);
  anything_seen_ = anything_seen_ || observation.seen != 0;
  if (observation.seen == (1U << plan.format->used) - 1) {
    double points[kMostUsed][2];
    for (int k = 0; k < plan.format->used; ++k) {
      points[k][0] = static_cast<double>(entry.points[k][0]);
      points[k][1] = static_cast<double>(entry.points[k][1]);
    }
    to_joints(*plan.format, points[0], plan.width, plan.height, entry.joints[0]);
  }
  if (plan.blend && static_cast<size_t>(history_.end() - history_.begin()) > sums_.size()) {
    std::vector<Sum> larger(2 * sums_.size());
    for (int64_t i = history_.begin(); i < index; ++i) {
      larger[static_cast<size_t>(i) & (larger.size() - 1)] = sum(i);
    }
    sums_.swap(larger);
  }
  if (plan.blend) sum(index).fill(0.0);
}

Track::Sum& Track::sum(int64_t entry) {
  return sums_[static_cast<size_t>(entry) & (sums_.size() - 1)];
}

bool Track::due(const Plan& plan, DueWindow& window) const {
  if (horizon_ <= history_.begin()) return false;
  const bool found = plan.blend ? due_blend(plan, window) : due_lag(plan, window);
  if (found) window.spec.padding = std::max(plan.shortest - window.spec.samples, 0);
  return found;
}

bool Track::due_lag(const Plan& plan, DueWindow& window) const {
  if (cursor_ >= horizon_) return false;
  const double position = history_[cursor_].position;
  const double ahead = history_[horizon_ - 1].position - position + kSlack;
  if (!closing_ && ahead < plan.lag) return false;
  const int before = static_cast<int>(std::min(position + kSlack, plan.window - 1.0 - plan.lag));
  const int after = static_cast<int>(std::min(ahead, static_cast<double>(plan.lag)));
  window.spec.start = position - before;
  window.spec.samples = before + 1 + after;
  window.output = cursor_;
  window.last = false;
  return true;
}

bool Track::due_blend(const Plan& plan, DueWindow& window) const {
  const double start = static_cast<double>(cursor_) * plan.hop;
  const double newest = history_[horizon_ - 1].position;
  window.output = std::max(next_output_, history_.at_or_after(start - kSlack));
  window.last = newest + kSlack < start + plan.window - 1;
  if (!window.last) {
    window.spec.start = start;
    window.spec.samples = plan.window;
    return true;
  }
  // One more window at the end, whole if the track is long enough. Windows that were gathered and
  // not yet committed come first, and none comes after it.
  if (!closing_ || cursor_ != next_ || next_output_ >= horizon_) return false;
  window.spec.samples = static_cast<int>(std::min(plan.window - 1.0, newest + kSlack)) + 1;
  window.spec.start = newest - (window.spec.samples - 1);
  return true;
}

void Track::commit(const Plan& plan, const DueWindow& window, const float* poses, PoseSink& sink) {
  OneEuro::Values pose;
  if (!plan.blend) {
    if (poses != nullptr) {
      const Entry& entry = history_[window.output];
      const auto place = static_cast<int64_t>(std::lround(entry.position - window.spec.start));
      const float* from = poses + (place + window.spec.padding) * kOutputFloats;
      std::copy(from, from + kOutputFloats, pose.begin());
      emit(plan, window.output, pose, sink);
    }
    next_output_ = next_ = window.output + plan.hop;
  } else {
    if (poses != nullptr) blend_in(plan, window, poses);
    next_ += 1;
    const int64_t complete =
        window.last ? history_.end()
                    : history_.at_or_after(static_cast<double>(next_) * plan.hop - kSlack);
    for (; next_output_ < complete; ++next_output_) {
      const Sum& total = sum(next_output_);
      if (total.back() <= 0.0) continue;
      for (size_t i = 0; i < pose.size(); ++i) pose[i] = total[i] / total.back();
      emit(plan, next_output_, pose, sink);
    }
  }
  cursor_ = std::max(cursor_, next_);
  trim(plan);
}

// The last window reaches back over frames that are out already. It comes in where they end, over
// the frames that it shares with the window before, again with no step.
void Track::blend_in(const Plan& plan, const DueWindow& window, const float* poses) {
  const double end = window.spec.start + window.spec.samples - 1;
  const double entry_position = history_[window.output].position;
  const double shared = std::max(plan.window - plan.hop, 1);
  for (int64_t i = std::max(window.output, history_.begin()); i < history_.end(); ++i) {
    const double position = history_[i].position;
    if (position > end + kSlack) break;
    const double u = std::clamp(position - window.spec.start, 0.0, window.spec.samples - 1.0);
    double weight = weight_in(u, window.spec.samples, plan);
    if (window.last) {
      const double fade = std::min((position - entry_position + 0.5) / shared, 1.0);
      weight = std::pow(std::sin(kPi / 2.0 * fade), 2);
    }
    const auto low = static_cast<int64_t>(u + kSlack);
    const double share = std::max(u - static_cast<double>(low), 0.0);
    const float* from = poses + (low + window.spec.padding) * kOutputFloats;
    const float* to = share > kSlack ? from + kOutputFloats : from;
    Sum& total = sum(i);
    for (int64_t k = 0; k < kOutputFloats; ++k) {
      const double a = static_cast<double>(from[k]);
      const double b = static_cast<double>(to[k]);
      total[static_cast<size_t>(k)] += weight * (a + (b - a) * share);
    }
    total.back() += weight;
  }
}

void Track::emit(const Plan& plan, int64_t index, OneEuro::Values& pose, PoseSink& sink) {
  const Entry& entry = history_[index];
  // As the authors evaluate: the mean of both mirrors has its root set to 0; else it is taken off.
  for (size_t i = 0; i < pose.size(); ++i) pose[i] -= i < 3 || plan.flip ? 0.0 : pose[i % 3];
  std::fill(pose.begin(), pose.begin() + 3, 0.0);
  if (plan.beta > 0.0) {
    // Frames filled in between two that are close in time may have the same timestamp.
    const double seconds = std::max(entry.timestamp - filtered_at_, kShortestStep);
    filter_.filter(pose, seconds, kCutoff, plan.beta);
    filtered_at_ = entry.timestamp;
  }
  pm_pose out{};
  out.struct_size = sizeof out;
  out.person = person_;
  out.frame = entry.frame;
  out.timestamp = entry.timestamp;
  const double scale = plan.height_m > 0.0 ? scale_.update(pose, plan.height_m) : 1.0;
  for (size_t i = 0; i < pose.size(); ++i) {
    out.joints[i / 3][i % 3] = static_cast<float>(pose[i] * scale);
  }
  out.filled = filled_joints(*plan.format, entry.seen);
  sink.put(out);
}

void Track::trim(const Plan& plan) {
  const double next = plan.blend ? static_cast<double>(next_ - 1) * plan.hop
                      : next_ < history_.end()
                          ? history_[next_].position - (plan.window - 1 - plan.lag)
                          : history_.back().position - (plan.window - 1 - plan.lag);
  // One more than a gap before the oldest window: in resampled time its start lies between two.
  const int64_t oldest = history_.at_or_after(next - plan.reach - 2.0);
  history_.drop_before(std::min({oldest - 1, next_output_, history_.end() - 1}));
}

}  // namespace posemamba::runtime
