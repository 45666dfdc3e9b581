// Two streams of a thread block, where channels are too few for two scan warps of every scheduler:
// each walks two thirds of the steps, at once. The first begins with the sequence. The second
// begins a third later, as if nothing had been before; where the first arrives there, it knows what
// the second should have begun with. What has become of it since is added, for the scan is linear
// in its state, and only then do the second's outputs count.
#pragma once

#include "cuda/scan/split_channel/config.cuh"

namespace posemamba::cuda::split_channel {

// The steps of a stream: [first, end), whose outputs count from step `from` on. `meeting`: tiles of
// each stream before the streams meet.
struct Span {
  int first;
  int end;
  int from;
  int meeting;
};

template <class C>
__device__ __forceinline__ Span span_of(int steps, int stream) {
  if constexpr (C::kStreams == 1) {
    return {0, steps, 0, -1};
  } else {
    const auto longest = [steps](int tiles) {
      return max(2 * tiles * C::kTile, steps - tiles * C::kTile);
    };
    int tiles = max(steps / (3 * C::kTile), 1);
    if (longest(tiles + 1) < longest(tiles)) ++tiles;
    const int third = tiles * C::kTile;
    return stream == 0 ? Span{0, min(steps, 2 * third), 0, tiles}
                       : Span{min(steps, third), steps, 2 * third, tiles};
  }
}

template <class C>
__device__ __forceinline__ int tiles_of(const Span& span) {
  return (span.end - span.first + C::kTile - 1) / C::kTile;
}

}  // namespace posemamba::cuda::split_channel
