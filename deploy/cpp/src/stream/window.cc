#include "stream/window.h"

#include <algorithm>
#include <cstring>

namespace posemamba::runtime {
namespace {

// The common case: frames as they come, and every joint of every frame was seen.
bool copy_complete(const Plan& plan, const History& history, const WindowSpec& window, float* out) {
  if (plan.resampled) return false;
  const uint32_t all = (1U << plan.format->used) - 1;
  const int64_t first = history.at_or_after(window.start - kSlack);
  for (int64_t i = first; i < first + window.samples; ++i) {
    if (history[i].seen != all) return false;
  }
  float* next = out + window.padding * kInputFloats;
  for (int64_t i = first; i < first + window.samples; ++i, next += kInputFloats) {
    std::memcpy(next, history[i].joints, sizeof history[i].joints);
  }
  return true;
}

void pad_front(const WindowSpec& window, float* out) {
  const float* first = out + window.padding * kInputFloats;
  for (int i = 0; i < window.padding; ++i) {
    std::memcpy(out + i * kInputFloats, first, kInputFloats * sizeof(float));
  }
}

}  // namespace

int WindowFiller::fill(const Plan& plan, const History& history, const WindowSpec& window,
                       float* out) {
  if (!copy_complete(plan, history, window, out)) {
    const double end = window.start + window.samples - 1;
    const int64_t first = history.at_or_after(window.start - plan.reach - kSlack);
    const int64_t last = std::min(history.at_or_after(end - kSlack) + 1, history.end());
    gather(plan, history, first, last);
    const int missing = stand_in(*plan.format);
    if (missing >= 0) return missing;
    interpolate(*plan.format, window);
    float* next = out + window.padding * kInputFloats;
    for (int i = 0; i < window.samples; ++i, next += kInputFloats) {
      to_joints(*plan.format, points_.data() + 2 * static_cast<size_t>(i * plan.format->used),
                plan.width, plan.height, next);
    }
  }
  pad_front(window, out);
  return -1;
}

void WindowFiller::gather(const Plan& plan, const History& history, int64_t first, int64_t last) {
  entries_ = last - first;
  const auto count = static_cast<size_t>(entries_);
  const auto used = static_cast<size_t>(plan.format->used);
  positions_.resize(std::max(positions_.size(), count));
  sightings_.resize(std::max(sightings_.size(), count * used));
  for (size_t i = 0; i < count; ++i) {
    const Entry& entry = history[first + static_cast<int64_t>(i)];
    positions_[i] = entry.position;
    for (size_t k = 0; k < used; ++k) {
      sightings_[k * count + i] = {static_cast<double>(entry.points[k][0]),
                                   static_cast<double>(entry.points[k][1]),
                                   (entry.seen >> k & 1U) != 0};
    }
  }
}

// For joints that nobody saw, the mean of the joints that stand in for them. Returns the first
// joint that is still unseen, or -1.
int WindowFiller::stand_in(const KeypointFormat& format) {
  const auto count = static_cast<size_t>(entries_);
  const auto shown = [&](int joint) {
    const Sighting* row = sightings_.data() + static_cast<size_t>(joint) * count;
    return std::any_of(row, row + count, [](const Sighting& s) { return s.seen; });
  };
  for (size_t s = 0; s < format.stand_in_count; ++s) {
    const StandIn& rule = format.stand_ins[s];
    if (shown(rule.joint)) continue;
    Sighting* row = sightings_.data() + static_cast<size_t>(rule.joint) * count;
    for (size_t i = 0; i < count; ++i) {
      Sighting mean{0.0, 0.0, true};
      for (int k = 0; k < rule.count; ++k) {
        const Sighting& other = sightings_[static_cast<size_t>(rule.others[k]) * count + i];
        mean.x += other.x / rule.count;
        mean.y += other.y / rule.count;
        mean.seen = mean.seen && other.seen;
      }
      row[i] = mean;
    }
  }
  for (int joint = 0; joint < format.used; ++joint) {
    if (!shown(joint)) return joint;
  }
  return -1;
}

// Each joint at each sample: linear between the sightings around it, held outside them.
void WindowFiller::interpolate(const KeypointFormat& format, const WindowSpec& window) {
  const auto count = static_cast<size_t>(entries_);
  const auto used = static_cast<size_t>(format.used);
  const auto samples = static_cast<size_t>(window.samples);
  points_.resize(std::max(points_.size(), samples * used * 2));
  for (size_t joint = 0; joint < used; ++joint) {
    const Sighting* row = sightings_.data() + joint * count;
    const auto next_seen = [&](size_t from) {
      while (from < count && !row[from].seen) ++from;
      return from;
    };
    size_t before = next_seen(0);
    size_t after = before;  // first sighting at or after the sample; `count` past the last one
    for (size_t i = 0; i < samples; ++i) {
      const double position = window.start + static_cast<double>(i);
      while (after < count && positions_[after] < position - kSlack) {
        before = after;
        after = next_seen(after + 1);
      }
      double* point = points_.data() + 2 * (i * used + joint);
      const Sighting& low = row[before];
      const Sighting& high = row[after < count ? after : before];
      const double span = after < count ? positions_[after] - positions_[before] : 0.0;
      const double share = span > 0.0 ? std::min((position - positions_[before]) / span, 1.0) : 0.0;
      const bool exact = share >= 1.0 - kSlack;
      point[0] = exact ? high.x : low.x + (high.x - low.x) * std::max(share, 0.0);
      point[1] = exact ? high.y : low.y + (high.y - low.y) * std::max(share, 0.0);
    }
  }
}

}  // namespace posemamba::runtime
