// The launch and the workspace of a backward pass, from the sizes, the tuning and the device.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/scan/backward/shape.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda::backward {

struct Sizes {
  int64_t rows;  // batch * groups
  int64_t steps;
  int32_t channels;  // of a group
  int32_t d_state;
  int32_t rank;  // of the dt projection; 0: none
};

struct Plan {
  bool valid;
  int warps;  // of a thread block
  int chunks;
  int blocks_per_row;
  int states;      // a channel has in the workspace
  int64_t blocks;  // of the kernels over chunks
  Layout layout;

  std::size_t carry_bytes() const { return sizeof(float) * static_cast<std::size_t>(layout.sums); }
  std::size_t gradient_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(layout.end);
  }
};

constexpr int kThreads = 256;  // of the kernels that are not over chunks
inline int64_t blocks_for(int64_t elements) { return (elements + kThreads - 1) / kThreads; }

// Invalid: no such tuning, more blocks than a grid has, or more channels than are counted.
Plan make_plan(const Sizes& sizes, const pm_cuda_tuning* tuning, const Device& device);

// Parts of the workspace, one after another, each on 256 bytes. Null: sizes alone.
class Parts {
 public:
  explicit Parts(void* workspace) : base_(static_cast<unsigned char*>(workspace)) {}
  float* take(int64_t floats) {
    auto* part = base_ == nullptr ? nullptr : reinterpret_cast<float*>(base_ + size_);
    size_ += align_up(sizeof(float) * static_cast<std::size_t>(floats));
    return part;
  }
  std::size_t size() const { return size_; }

 private:
  unsigned char* base_;
  std::size_t size_ = 0;
};

}  // namespace posemamba::cuda::backward
