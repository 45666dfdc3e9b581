// An opened model and the streams it serves.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "stream/stream.h"

namespace posemamba::runtime {

class Lifter : public std::enable_shared_from_this<Lifter> {
 public:
  explicit Lifter(std::unique_ptr<Backend> backend);

  const char* info() const { return info_.c_str(); }
  const ModelFacts& model() const { return backend_->model(); }

  void lift(const float* keypoints_2d, int64_t batch, int64_t frames, float* poses_3d);
  // Windows lifted. One whose pose is no number fails it, once all that was due is lifted.
  int step();
  std::shared_ptr<Stream> open_stream(const pm_stream_options& options);

 private:
  void run(const float* input, int64_t batch, int64_t frames, float* output);
  struct Lifted {
    int windows;
    int wrong;  // of these, whose poses are no numbers
  };
  Lifted lift_batch();

  std::unique_ptr<Backend> backend_;
  std::string info_;
  std::mutex run_mutex_;  // the back end, batch_, filler_ and serving_
  Batch batch_;
  WindowFiller filler_;
  std::vector<std::shared_ptr<Stream>> serving_;  // in a step; keeps its memory
  std::mutex streams_mutex_;
  std::vector<std::weak_ptr<Stream>> streams_;
};

}  // namespace posemamba::runtime
