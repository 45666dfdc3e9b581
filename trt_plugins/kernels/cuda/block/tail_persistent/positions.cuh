// Where a row of the batch lies in its item's grid.
#pragma once

#include <cstdint>

#include "cuda/scan/cross_args.cuh"

namespace posemamba::cuda {

// Division by a number known at launch, exact for 0 <= n < 2^31: ceil(2^(31 + l) / d) with
// 2^l >= d is off by less than d, so n times it by less than 2^(31 + l) (Granlund and Montgomery
// 1994). A multiplication and a shift, where the hardware has no integer division.
struct Divider {
  uint32_t factor;
  int32_t shift;
  int32_t divisor;

  explicit Divider(int32_t d) : divisor(d) {
    int l = 0;
    while ((int64_t{1} << l) < d) ++l;
    shift = 31 + l;
    factor = static_cast<uint32_t>(((uint64_t{1} << shift) + static_cast<uint64_t>(d) - 1) /
                                   static_cast<uint64_t>(d));
  }
  __device__ __forceinline__ int divide(int n) const {
    return static_cast<int>(uint64_t{static_cast<uint32_t>(n)} * factor >> shift);
  }
};

struct RowPlace {
  int item;
  GridPoint at;
};

// Rows of the batch, items one after the other.
struct Positions {
  int rows;
  Divider steps;
  Divider joints;

  Positions(int row_count, int steps_of_item, int joint_count)
      : rows(row_count), steps(steps_of_item), joints(joint_count) {}

  __device__ __forceinline__ RowPlace place(int row) const {
    const int item = steps.divide(row);
    const int position = row - item * steps.divisor;
    const int frame = joints.divide(position);
    return {item, {frame, position - frame * joints.divisor}};
  }
  // The place of the row after one.
  __device__ __forceinline__ void next(RowPlace& p, int frames) const {
    const bool frame_ends = p.at.joint + 1 == joints.divisor;
    const bool item_ends = frame_ends && p.at.frame + 1 == frames;
    p.at.joint = frame_ends ? 0 : p.at.joint + 1;
    p.at.frame = item_ends ? 0 : p.at.frame + (frame_ends ? 1 : 0);
    p.item += item_ends ? 1 : 0;
  }
};

}  // namespace posemamba::cuda
