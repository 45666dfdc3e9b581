#include "cuda/scan/chunked/plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "cuda/device/launch.h"
#include "cuda/scan/chunked/config_list.h"

namespace posemamba::cuda {
namespace {

struct Shape {
  int32_t states;
  int32_t channels;
  int32_t threads;
  int32_t blocks_per_sm;
};

template <std::size_t... I>
constexpr std::array<Shape, sizeof...(I)> shapes(std::index_sequence<I...>) {
  return {Shape{
      std::tuple_element_t<I, Configs>::kStates, std::tuple_element_t<I, Configs>::kChannels,
      std::tuple_element_t<I, Configs>::kThreads, std::tuple_element_t<I, Configs>::kMinBlocks}...};
}
constexpr auto kShapes = shapes(std::make_index_sequence<kConfigs>());

// Indices into Configs.
constexpr int32_t kPaired = 0;
constexpr int32_t kNarrow = 1;
constexpr int32_t kManyStates = 2;
constexpr int32_t kWide = 3;
constexpr int32_t kWideGeneric = 4;

constexpr int32_t kChunkGrain = 8;    // chunks are whole register blocks
constexpr int32_t kLeastChunk = 64;   // steps; below it the carries cost more than they save
constexpr int32_t kManyChunks = 20;   // beyond it narrow blocks beat more chunks
constexpr int32_t kPairedBlocks = 2;  // of kPaired, that a chunked launch puts on an SM
constexpr int32_t kFewestChunks = 3;
constexpr int32_t kMostSms = 256;  // a larger device is planned for as this one; bounds carry_limit

// Blocks, in percent of the SMs, from which on a serial scan wins.
constexpr int64_t enough_percent(int32_t config) { return config == kNarrow ? 150 : 90; }

int32_t ceil_div(int64_t a, int64_t b) { return static_cast<int32_t>((a + b - 1) / b); }

Plan with(const Problem& p, int32_t config, int32_t chunks) {
  const Shape& s = kShapes[static_cast<std::size_t>(config)];
  Plan plan{};
  plan.config = config;
  chunks = std::clamp(chunks, 1, std::max(1, p.steps / kChunkGrain));
  if (chunks == 1) {
    plan.chunk_steps = p.steps;
  } else {
    // Chunk 0 makes outputs in the first launch, beside chunks that only find their end state: it
    // gets four fifths of their length. Chunk 0 then takes what whole grains leave over.
    plan.chunk_steps =
        ceil_div(ceil_div(int64_t{5} * p.steps, 5 * int64_t{chunks} - 1), kChunkGrain) *
        kChunkGrain;
  }
  plan.chunks = ceil_div(p.steps, plan.chunk_steps);
  plan.first_steps = p.steps - (plan.chunks - 1) * plan.chunk_steps;
  plan.blocks_per_row = ceil_div(p.channels, s.channels);
  plan.states = s.states;
  plan.threads = s.threads;
  plan.blocks_per_sm = s.blocks_per_sm;
  plan.block_channels = s.channels;
  return plan;
}

// Chunks that give every SM as many blocks as it holds. Two chunks would be a serial scan cut in
// half, so they become one. Unchunked work is never repeated: with enough blocks it wins, later for
// narrow ones (a block there does half the work per instruction fetched).
int32_t automatic_chunks(const Problem& p, int32_t config, int32_t multiprocessors) {
  const Plan serial = with(p, config, 1);
  const int64_t blocks = serial.blocks_per_row * p.rows;
  if (blocks * 100 >= multiprocessors * enough_percent(config)) return 1;
  const int64_t wanted = 1 + int64_t{serial.blocks_per_sm} * multiprocessors / blocks;
  const auto chunks = static_cast<int32_t>(std::min<int64_t>(wanted, 1 + p.steps / kLeastChunk));
  return chunks < kFewestChunks ? 1 : chunks;
}

int32_t automatic_config(const Problem& p, int32_t multiprocessors) {
  if (p.d_state > kShapes[kPaired].states) return kManyStates;
  if (p.channels <= kShapes[kNarrow].channels) return kNarrow;
  if (!p.fused) return kWideGeneric;
  const int64_t blocks = with(p, kPaired, 1).blocks_per_row * p.rows;
  if (blocks * kManyChunks < int64_t{kPairedBlocks} * multiprocessors) return kNarrow;
  // One serial block an SM: only a wide one keeps its schedulers busy. A sequence too short to be
  // cut may leave room for twice as many narrow ones.
  if (automatic_chunks(p, kPaired, multiprocessors) > 1 || blocks > multiprocessors) return kPaired;
  return with(p, kNarrow, 1).blocks_per_row * p.rows <= multiprocessors ? kNarrow : kWide;
}

}  // namespace

Plan make_plan(const Problem& p, const pm_cuda_tuning* tuning, int32_t multiprocessors) {
  const pm_cuda_tuning ask = tuning == nullptr ? pm_cuda_tuning{} : *tuning;
  Plan refused{};
  refused.config = -1;
  if (ask.config < 0 || ask.config > kConfigs || ask.chunks < 0 || ask.variant < PM_CUDA_AUTO ||
      ask.variant > PM_CUDA_SERIAL) {
    return refused;
  }
  multiprocessors = std::min(multiprocessors, kMostSms);
  const int32_t config = ask.config > 0 ? ask.config - 1 : automatic_config(p, multiprocessors);
  if (kShapes[static_cast<std::size_t>(config)].states < p.d_state) return refused;
  if (ask.variant == PM_CUDA_SERIAL) return with(p, config, 1);
  if (ask.chunks > 0) return with(p, config, ask.chunks);
  const int32_t chunks = automatic_chunks(p, config, multiprocessors);
  return with(p, config, ask.variant == PM_CUDA_CHUNKED ? std::max(chunks, kFewestChunks) : chunks);
}

std::size_t carry_limit(const Problem& largest) {
  std::size_t limit = 0;
  for (int32_t config = 0; config < kConfigs; ++config) {
    const Plan plan = with(largest, config, 1);
    if (plan.states < largest.d_state) continue;
    const int64_t blocks = plan.blocks_per_row * largest.rows;
    // automatic_chunks: blocks < enough, and blocks * chunks <= blocks + blocks_per_sm * SMs.
    const int64_t device =
        kMostSms * enough_percent(config) / 100 + int64_t{plan.blocks_per_sm} * kMostSms;
    const int64_t automatic = std::min(device, blocks * (1 + largest.steps / kLeastChunk));
    const int64_t forced = blocks * std::clamp(largest.steps / kChunkGrain, 1, kFewestChunks);
    const auto channels =
        static_cast<std::size_t>(std::max(automatic, forced) * plan.block_channels);
    limit =
        std::max(limit, align_up(channels * static_cast<std::size_t>(plan.states) * sizeof(float)) +
                            align_up(channels * sizeof(float)));
  }
  return limit;
}

}  // namespace posemamba::cuda
