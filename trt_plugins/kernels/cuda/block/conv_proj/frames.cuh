// Whole frames of a thread block, and where a walk visits their rows.
#pragma once

#include "cuda/scan/cross_args.cuh"
#include "cuda/scan/split_channel/prepared.h"

namespace posemamba::cuda {

constexpr int kFrameRows = 48;  // most rows of a thread block

// One of a block's rows in the order in which a walk visits them.
struct Visit {
  int step;             // of the walk, forwards
  unsigned char row;    // of the block
  unsigned char other;  // the row of its limb neighbour, in the same frame
};

// The block's visit `index` of a walk; consecutive ones are consecutive steps where they can be.
__device__ __forceinline__ Visit visit_of(const CrossArgs& c, int order, int first_frame,
                                          int frames, int index) {
  const bool by_joint = order == PM_JOINT_MAJOR || order == PM_JOINT_MAJOR_FLIPPED;
  const bool flipped = order >= PM_FRAME_MAJOR_FLIPPED;
  const int inner = by_joint ? frames : c.joints;
  const int out = index / inner;
  const int in = flipped ? inner - 1 - index % inner : index % inner;
  const int frame = by_joint ? in : out;
  const int joint = by_joint ? out : in;
  const int at_frame = first_frame + frame;
  const int step = by_joint ? joint * c.frames + (flipped ? c.frames - 1 - at_frame : at_frame)
                            : at_frame * c.joints + (flipped ? c.joints - 1 - joint : joint);
  return {step, static_cast<unsigned char>(frame * c.joints + joint),
          static_cast<unsigned char>(frame * c.joints + c.limb_index[joint])};
}

}  // namespace posemamba::cuda
