// One camera or recording: the persons in it, and the poses that wait to be polled.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "stream/batch.h"
#include "stream/plan.h"
#include "stream/pose_queue.h"
#include "stream/track.h"

namespace posemamba::runtime {

class Lifter;

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(const Plan& plan, std::weak_ptr<Lifter> lifter);

  // The functions of the C interface.
  pm_result push(int64_t frame, double timestamp, int32_t person, const float* values,
                 int32_t count, int32_t columns);
  pm_result poll(pm_pose* out);
  pm_result ready(int32_t* poses);
  pm_result flush();
  pm_result end(int32_t person);
  pm_result reset(int32_t person);
  pm_result delay(int32_t* frames, double* seconds) const;

  // Before the first gather of a step.
  void begin_step();
  // Adds due windows to a batch until it is full or of another length.
  void gather(Batch& batch, WindowFiller& filler);
  // The network's poses of a window; null: they are no numbers, and it gives none.
  void commit(uint64_t track, const DueWindow& window, const float* poses);
  bool flips() const { return plan_.flip; }

 private:
  struct Reason {  // why the last window gave no pose
    bool set;
    int32_t person;
    int joint;  // -1: nothing of the person was ever found
  };

  bool found(const float* value, int32_t columns) const;
  Observation observe(int64_t frame, double timestamp, const float* values, int32_t columns) const;
  void check_order(const Track& track, const Observation& next) const;
  void check_pixels(const float* values, int32_t count, int32_t columns) const;
  Track* active(int32_t person);
  Track* open_track(int32_t person, const Observation& first);
  void make_room(int32_t person, const Observation& first);
  bool blocked(size_t track) const;
  bool gather_track(Track& track, Batch& batch, WindowFiller& filler);
  void retire();

  const Plan plan_;
  const std::weak_ptr<Lifter> lifter_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Track>>
      tracks_;                                 // by serial number; ended ones until they are lifted
  std::vector<std::unique_ptr<Track>> spare_;  // their memory is used again
  uint64_t next_serial_ = 1;
  PoseQueue poses_;
  Reason reason_{};
};

}  // namespace posemamba::runtime
