#include "cpu/pull_plan.h"

namespace posemamba {
namespace {

constexpr int64_t kTasksPerThread = 4;
constexpr int64_t kFoldLength = 64;  // frames or steps of a fold's task

constexpr int64_t round_up(int64_t value) { return divide_up(value, kChunk) * kChunk; }

// `count` numbers for each of the task's channels.
void add(const float* from, int64_t count, bool first, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = first ? from[i] : to[i] + from[i];
}

}  // namespace

PullPlan make_pull_plan(const PullSizes& sizes, int32_t threads) {
  PullPlan plan{};
  plan.rows = sizes.rows;
  plan.chunks = divide_up(sizes.channels, kChunk);
  // By the sizes alone, so that sums over channels do not depend on the threads.
  int64_t most = smaller(kMaxTaskChunks, kMaxStateChunks / sizes.d_state);
  if (sizes.dt_rank > 0) most = smaller(most, kMaxWeightChunks / sizes.dt_rank);
  plan.chunks_per_task = smaller(most, plan.chunks);
  plan.parts = divide_up(plan.chunks, plan.chunks_per_task);
  plan.items = smaller(sizes.batch, divide_up(kTasksPerThread * threads, sizes.rows * plan.parts));
  plan.tiles = divide_up(sizes.steps, kPullSteps);
  plan.fold_tiles = divide_up(sizes.fold_length, kFoldLength);

  const int64_t channels = plan.chunks_per_task * kChunk;
  const int64_t shared = sizes.dt_rank + 2 * sizes.d_state;
  plan.shared_stride = round_up(shared);
  plan.states = 0;
  plan.sums = plan.states + plan.tiles * channels * sizes.d_state;
  plan.shared = plan.sums + shared * kPullSteps * kChunk;
  plan.own = plan.shared + sizes.steps * plan.shared_stride;
  plan.weights = plan.own + sizes.positions * channels;
  plan.task_floats = round_up(plan.weights + channels * (sizes.d_state + sizes.dt_rank + 2));
  return plan;
}

size_t pull_bytes(const PullPlan& plan) {
  return static_cast<size_t>(plan.items * plan.rows * plan.parts * plan.task_floats) *
         sizeof(float);
}

void add_weights(const PullSizes& sizes, const PullPlan& plan, const WeightOutputs& to) {
  const int64_t capacity = plan.chunks_per_task * kChunk;
  for (int64_t task = 0; task < plan.items * plan.rows * plan.parts; ++task) {
    const int64_t part = task % plan.parts;
    const int64_t row = task / plan.parts % plan.rows;
    const bool first = plan.first_item + task / plan.parts / plan.rows == 0;
    const int64_t channel = part * capacity;
    const int64_t channels = smaller(capacity, sizes.channels - channel);
    const int64_t at = row * sizes.channels + channel;
    const float* from = plan.workspace + task * plan.task_floats + plan.weights;
    add(from, channels * sizes.d_state, first, to.dA + at * sizes.d_state);
    from += capacity * sizes.d_state;
    if (to.dW != nullptr) add(from, channels * sizes.dt_rank, first, to.dW + at * sizes.dt_rank);
    from += capacity * sizes.dt_rank;
    if (to.dt_bias != nullptr) add(from, channels, first, to.dt_bias + at);
    if (to.D != nullptr) add(from + capacity, channels, first, to.D + at);
  }
}

}  // namespace posemamba
