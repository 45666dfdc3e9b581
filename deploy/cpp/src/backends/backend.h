// What runs the network. One class for each runtime; the lifter above it knows only this.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "posemamba/runtime/lifter.h"

namespace posemamba::runtime {

// Frames of a clip at most, where a model names none.
constexpr int64_t kMostFrames = 1 << 20;

// Sizes one run may have.
struct Sizes {
  int64_t batch_min = 1, batch_max = 1;
  int64_t frames_min = 1, frames_max = 1;
};

// What is known of a model: sizes from the session, the rest from metadata or sidecar ("" and 0
// where they do not say).
struct ModelFacts {
  std::string path;
  Sizes sizes;            // frames_max 0: the file does not say
  std::string precision;  // "fp32", "fp16", "fp16-sums"
  std::string variant, scan_order, ops, tool_version, checkpoint;
};

// What the back end really used, for pm_lifter_info.
struct BackendFacts {
  std::string name;                      // "onnxruntime-cpu", ...
  std::string library, library_version;  // the runtime
  std::string op_library;                // "" if none was loaded
  std::string device;                    // "cpu", or the GPU's name
  std::string why;                       // why "auto" chose it, or fell back to it
  bool cuda_graph = false;
  std::optional<bool> tf32;  // of float32 products; empty where it is no choice of this library
};

constexpr int64_t kJointCount = 17;
constexpr int64_t kInputChannels = 2;                           // x and y
constexpr int64_t kInputFloats = kJointCount * kInputChannels;  // a frame
constexpr int64_t kOutputFloats = kJointCount * 3;              // a frame

class Backend {
 public:
  virtual ~Backend() = default;
  const ModelFacts& model() const { return model_; }
  const BackendFacts& facts() const { return facts_; }
  BackendFacts& facts() { return facts_; }

  // Makes room for a run of that size: before input() is written.
  virtual void reserve(int64_t batch, int64_t frames) = 0;
  // The caller writes [batch][frames][17][2] here.
  virtual float* input() = 0;
  // After run: [batch][frames][17][3].
  virtual const float* output() const = 0;
  // Clips in one run at most.
  virtual int64_t max_batch() const = 0;
  // batch and frames within the model's sizes. Throws Failure(PM_BACKEND_FAILED). Not thread-safe.
  virtual void run(int64_t batch, int64_t frames) = 0;

 protected:
  ModelFacts model_;
  BackendFacts facts_;
};

// What is asked for, with every default filled in.
struct BackendRequest {
  std::string path;
  const char* runtime_library;  // null: searched
  const char* op_library;       // null: searched
  int device, threads;
  bool cuda_graph;
  bool tf32;
};

// Refuses a network that reads more of a joint than x and y, as some forks do: nobody could give
// this library the other numbers. Throws Failure(PM_BAD_MODEL).
void check_channels(const std::string& path, int64_t channels);

// Refuses a network with another number of poses than of frames or clips, such as one that lifts
// the middle of a clip alone. Sizes are batch and frames, -1 where any. Throws
// Failure(PM_BAD_MODEL).
void check_pairing(const std::string& path, const int64_t (&input)[2], const int64_t (&output)[2]);

// Opens the back end `options` asks for. Throws Failure.
std::unique_ptr<Backend> open_backend(const std::string& path, const pm_lifter_options& options);

}  // namespace posemamba::runtime
