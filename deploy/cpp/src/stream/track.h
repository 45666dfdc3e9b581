// One person's unbroken run of frames, and the windows that are due in it. A person who was away
// too long gets a new track; nothing crosses from one to the next.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "stream/body_scale.h"
#include "stream/history.h"
#include "stream/one_euro.h"
#include "stream/window.h"

namespace posemamba::runtime {

// A window that is due, and what becomes of the network's poses of it.
struct DueWindow {
  WindowSpec spec;
  int64_t output;  // entry whose pose it gives; policy blend: the first entry it completes
  bool last;       // policy blend: the one that ends the track
};

struct Observation {
  int64_t frame;
  double timestamp;
  uint32_t seen;
  float points[kMostUsed][2];
};

// Where finished poses go.
class PoseSink {
 public:
  virtual ~PoseSink() = default;
  virtual void put(const pm_pose& pose) = 0;
};

class Track {
 public:
  // Forgets everything; memory is kept.
  void start(const Plan& plan, int32_t person, uint64_t serial);

  int32_t person() const { return person_; }
  uint64_t serial() const { return serial_; }
  bool ended() const { return ended_; }
  bool empty() const { return history_.empty(); }
  int64_t last_frame() const { return history_.back().frame; }
  double last_timestamp() const { return history_.back().timestamp; }
  // The last timestamp that was a number; NaN before the first.
  double latest() const { return latest_; }

  // Whether an observation follows the last one closely enough; if not it begins a new track.
  bool continues(const Plan& plan, const Observation& next) const;
  // Frames that wait to be lifted.
  int64_t waiting() const { return history_.end() - std::min(next_output_, history_.end()); }

  // Adds an observation, and the frames left out before it.
  void append(const Plan& plan, const Observation& observation);
  void end() { ended_ = true; }

  // What a step that begins now lifts: nothing of what comes meanwhile.
  void begin_step() {
    horizon_ = history_.end();
    closing_ = ended_;
  }
  // The cursor walks the due windows of one step; what was not committed is due again.
  void rewind() { cursor_ = next_; }
  bool due(const Plan& plan, DueWindow& window) const;
  void advance(const Plan& plan) { cursor_ += plan.blend ? 1 : plan.hop; }

  // The network's poses [frames][17][3] of a due window; with `poses` null it gives none.
  void commit(const Plan& plan, const DueWindow& window, const float* poses, PoseSink& sink);
  // Everything was lifted, and no more comes.
  bool finished() const { return ended_ && waiting() == 0; }

  bool anything_seen() const { return anything_seen_; }
  const History& history() const { return history_; }

 private:
  using Sum = std::array<double, OneEuro::kValues + 1>;  // the last: sum of weights

  bool due_blend(const Plan& plan, DueWindow& window) const;
  bool due_lag(const Plan& plan, DueWindow& window) const;
  void push_entry(const Plan& plan, const Observation& observation);
  void blend_in(const Plan& plan, const DueWindow& window, const float* poses);
  void emit(const Plan& plan, int64_t entry, OneEuro::Values& pose, PoseSink& sink);
  void trim(const Plan& plan);
  Sum& sum(int64_t entry);

  int32_t person_ = 0;
  uint64_t serial_ = 0;
  bool ended_ = false;
  bool anything_seen_ = false;
  History history_;
  double latest_ = 0.0;
  // In entries; policy blend: in windows, each `hop` after the one before.
  int64_t next_ = 0, cursor_ = 0;
  int64_t next_output_ = 0;  // first entry whose pose is still to come
  int64_t horizon_ = 0;      // end of the entries that this step knows
  bool closing_ = false;     // none comes after them
  std::vector<Sum> sums_;    // policy blend: ring over the entries of a window
  OneEuro filter_;
  double filtered_at_ = 0.0;
  BodyScale scale_;
};

}  // namespace posemamba::runtime
