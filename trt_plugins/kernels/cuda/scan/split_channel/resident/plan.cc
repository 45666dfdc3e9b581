#include "cuda/scan/split_channel/resident/plan.h"

#include "cuda/device/launch.h"

namespace posemamba::cuda::resident {
namespace {

constexpr int32_t kStates = 16;
constexpr int64_t kQuad = 4;  // steps; chunks are whole groups of them

std::size_t bytes_of(int64_t blocks) {
  return align_up(static_cast<std::size_t>(blocks) * kChannels * (kStates + 1) * sizeof(float));
}

}  // namespace

bool takes(const pm_cross_scan_params& p) {
  return p.dtype == PM_FLOAT16 && p.d_state == kStates && p.dt_rank == kRank;
}

std::size_t Division::exchange_bytes() const { return bytes_of(blocks()); }

Division divide(const pm_cross_scan_params& p, int32_t multiprocessors) {
  Division d{p.batch * p.directions * ((p.d_inner + kChannels - 1) / kChannels), 0};
  if (!takes(p) || d.rows > multiprocessors) return d;
  const auto chunks = static_cast<int32_t>(multiprocessors / d.rows);
  const int64_t quads = (p.frames * p.joints + kQuad - 1) / kQuad;
  if ((quads + chunks - 1) / chunks * kQuad <= kCapacity) d.chunks = chunks;
  return d;
}

std::size_t exchange_limit(const pm_cross_scan_params& largest, int32_t multiprocessors) {
  return takes(largest) ? bytes_of(multiprocessors) : 0;
}

}  // namespace posemamba::cuda::resident
