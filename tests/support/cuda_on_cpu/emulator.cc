#include "emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/device/launch.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_on_cpu {
namespace {

constexpr int kLanes = 32;
constexpr std::size_t kStack = 128 * 1024;
constexpr std::size_t kMostShared = 227 * 1024;
constexpr std::size_t kGuard = 4096;
constexpr unsigned char kGuardByte = 0x5a;

enum class Wait { kNothing, kBlock, kWarp, kBarrier, kDone };

// A context starts a thread; from then on it is left and taken up by jumps, which spare a system
// call each.
struct Thread {
  ucontext_t first;
  jmp_buf at;
  bool begun;
  std::unique_ptr<char[]> stack{new char[kStack]};
  Wait wait;
  int line;
  int exchanges;
  const uint64_t* barrier;
  uint32_t parity;
};

struct Barrier {
  uint16_t arrivals;
  uint16_t pending;
  uint32_t phase;
};
static_assert(sizeof(Barrier) == sizeof(uint64_t), "in the place of one");

Barrier read(const uint64_t* barrier) {
  Barrier b;
  std::memcpy(&b, barrier, sizeof b);
  return b;
}

bool passed(const uint64_t* barrier, uint32_t parity) { return read(barrier).phase % 2 != parity; }

struct Block {
  std::vector<Thread> threads;
  jmp_buf scheduler;
  int current;
  void (*call)(const void*);
  const void* arg;
  // Two exchanges of a warp may be under way: a lane can be one ahead of those that yet read.
  std::vector<uint32_t> given[2];
};

Block block;
alignas(128) unsigned char shared[kMostShared + kGuard];
std::size_t device_shared = kMostShared;
int order = 0;

void body() {
  block.call(block.arg);
  block.threads[block.current].wait = Wait::kDone;
  _longjmp(block.scheduler, 1);
}

// On their own: setjmp and getcontext return twice, and no variable may live through that.
[[gnu::noinline]] void prepare(Thread& t) {
  getcontext(&t.first);
  t.first.uc_stack.ss_sp = t.stack.get();
  t.first.uc_stack.ss_size = kStack;
  t.wait = Wait::kNothing, t.exchanges = 0, t.begun = false;
  makecontext(&t.first, body, 0);
}

[[gnu::noinline]] void go_on(Thread& t) {
  if (_setjmp(block.scheduler) != 0) return;
  if (t.begun) _longjmp(t.at, 1);
  t.begun = true;
  setcontext(&t.first);
}

[[gnu::noinline]] void give_way(Wait wait, int line) {
  Thread& self = block.threads[block.current];
  self.wait = wait, self.line = line;
  if (_setjmp(self.at) == 0) _longjmp(block.scheduler, 1);
}

// Lets [begin, end) go on if all of them wait for it at one place.
bool release(int begin, int end, Wait wait) {
  for (int i = begin; i < end; ++i) {
    const Thread& t = block.threads[i];
    if (t.wait != wait || t.line != block.threads[begin].line) return false;
  }
  for (int i = begin; i < end; ++i) block.threads[i].wait = Wait::kNothing;
  return true;
}

bool release_some(int threads) {
  bool any = false;
  for (int i = 0; i < threads; ++i) {
    Thread& t = block.threads[i];
    if (t.wait != Wait::kBarrier || !passed(t.barrier, t.parity)) continue;
    t.wait = Wait::kNothing, any = true;
  }
  for (int warp = 0; warp < threads; warp += kLanes) {
    any = release(warp, warp + kLanes, Wait::kWarp) || any;
  }
  return any || release(0, threads, Wait::kBlock);
}

bool all_done(int threads) {
  return std::all_of(block.threads.begin(), block.threads.begin() + threads,
                     [](const Thread& t) { return t.wait == Wait::kDone; });
}

// The order in which threads get their turn: ascending, descending, then shuffled ones.
std::vector<int> turns(int threads) {
  std::vector<int> turn(static_cast<std::size_t>(threads));
  std::iota(turn.begin(), turn.end(), 0);
  if (order == 1) std::reverse(turn.begin(), turn.end());
  if (order > 1) std::shuffle(turn.begin(), turn.end(), std::mt19937(static_cast<unsigned>(order)));
  return turn;
}

dim3 place_of(int thread) {
  const auto i = static_cast<unsigned>(thread);
  return dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
}

bool run_block(int threads, const std::vector<int>& turn) {
  for (int i = 0; i < threads; ++i) prepare(block.threads[i]);
  do {
    for (const int i : turn) {
      if (block.threads[i].wait != Wait::kNothing) continue;
      block.current = i;
      threadIdx = place_of(i);
      go_on(block.threads[i]);
    }
  } while (release_some(threads));
  return all_done(threads);
}

}  // namespace

cudaError_t run(dim3 grid, dim3 shape, std::size_t bytes, void (*call)(const void*),
                const void* arg) {
  const auto threads = static_cast<int>(shape.x * shape.y * shape.z);
  if (threads % kLanes != 0 || threads > 1024 || bytes > kMostShared) return cudaErrorInvalidValue;
  while (static_cast<int>(block.threads.size()) < threads) block.threads.emplace_back();
  for (auto& given : block.given) given.resize(static_cast<std::size_t>(threads));
  block.call = call, block.arg = arg;
  gridDim = grid, blockDim = shape;
  const std::vector<int> turn = turns(threads);
  const unsigned blocks = grid.x * grid.y * grid.z;
  for (unsigned i = 0; i < blocks; ++i) {
    blockIdx = dim3(i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y);
    std::memset(shared, 0xff, bytes);  // NaN
    std::memset(shared + bytes, kGuardByte, kGuard);
    const char* fault = nullptr;
    if (!run_block(threads, turn)) fault = "its threads do not meet";
    const auto touched = [](unsigned char byte) { return byte != kGuardByte; };
    if (std::any_of(shared + bytes, shared + bytes + kGuard, touched)) {
      fault = "shared memory written beyond its end";
    }
    if (fault != nullptr) {
      std::fprintf(stderr, "block %u, %u, %u: %s\n", blockIdx.x, blockIdx.y, blockIdx.z, fault);
      return cudaErrorLaunchFailure;
    }
  }
  return cudaSuccess;
}

void sync_block(int line) { give_way(Wait::kBlock, line); }

const uint32_t* exchange(uint32_t bits, int line) {
  const int self = block.current;
  auto& given = block.given[block.threads[self].exchanges++ % 2];
  given[self] = bits;
  give_way(Wait::kWarp, line);
  return &given[self - lane()];
}

int lane() { return block.current % kLanes; }

unsigned char* shared_memory() { return shared; }

void barrier_init(uint64_t* barrier, int arrivals) {
  const auto count = static_cast<uint16_t>(arrivals);
  const Barrier b{count, count, 0};
  std::memcpy(barrier, &b, sizeof b);
}

void barrier_arrive(uint64_t* barrier) {
  Barrier b = read(barrier);
  if (--b.pending == 0) b.pending = b.arrivals, ++b.phase;
  std::memcpy(barrier, &b, sizeof b);
}

void barrier_wait(const uint64_t* barrier, uint32_t parity) {
  if (passed(barrier, parity)) return;
  Thread& self = block.threads[block.current];
  self.barrier = barrier, self.parity = parity;
  give_way(Wait::kBarrier, 0);
}

}  // namespace cuda_on_cpu

// The device that the launchers see.
namespace posemamba::cuda {

Device current_device() { return {132, 9, cuda_on_cpu::device_shared, 0}; }

cudaError_t error_of(pm_status status) {
  if (status == PM_OK) return cudaSuccess;
  return status == PM_UNSUPPORTED ? cudaErrorNotSupported : cudaErrorInvalidValue;
}

}  // namespace posemamba::cuda

// For the tests: the order of turns, and the shared memory of the device.
extern "C" void cuda_on_cpu_order(int order) { cuda_on_cpu::order = order; }
extern "C" void cuda_on_cpu_shared(std::size_t bytes) { cuda_on_cpu::device_shared = bytes; }
