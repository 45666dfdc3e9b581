// Where the rows that a warp gates come from, found ahead.
#pragma once

#include "cuda/block/gate.cuh"
#include "cuda/block/place.cuh"

namespace posemamba::cuda {

// Where the streams of a warp's rows begin: every lane finds one, before anything of an earlier
// launch is there. A lane that found all of its own would spend half as long as it normalises.
constexpr int kStreams = 7;  // four directions, u, u of the limb neighbour, z

// Reads what the launch before the one before wrote, u, z and the residual: the scan has waited for
// it, and this launch started behind that. Past the L1, which nobody has emptied since.
struct BeforeWait {
  template <class Word>
  __device__ __forceinline__ Word operator()(const Word* from) const {
    return __ldcg(from);
  }
};

template <int D, int Count>
__device__ __forceinline__ void find_rows(const __half* (&to)[Count][8], const CrossArgs& c,
                                          const pm_block_tail_params& a, const Place& place) {
  static_assert(Count * kStreams <= 32, "a lane a stream");
  if (place.lane >= Count * kStreams) return;
  const int r = place.lane / kStreams;
  const int stream = place.lane % kStreams;
  const GateSource from = gate_source(c, a, blockIdx.y);
  const int position = place.position(place.row0 + r);
  const int frame = position / c.joints;
  const GridPoint at{frame, position - frame * c.joints};
  const __half* row = nullptr;
  if (stream < 4) {
    row = GateRows<D, 1>::direction(c, from, stream, at);
  } else if (stream < 6) {
    const int joint = stream == 4 ? at.joint : c.limb_index[at.joint];
    row = from.u + int64_t{position - at.joint + joint} * c.x_stride;
  } else {
    row = from.z + int64_t{position} * a.z_stride;
  }
  to[r][stream] = row;
}

}  // namespace posemamba::cuda
