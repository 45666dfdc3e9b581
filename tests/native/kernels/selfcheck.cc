// A check of the CPU launchers that needs nothing but a C++ compiler, for cross builds (qemu),
// sanitizers and installs: both operators and their gradients against scalar float64 loops, on
// every instruction set of the machine, plus the pool under concurrent callers and after fork.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "posemamba/scan_cpu.h"
#include "scan_gradients.h"
#include "scan_oracle.h"

namespace {

using oracle::Cross;
using oracle::Floats;
using oracle::Plain;

Floats run(const Cross& cross, const pm_parallel* parallel) {
  Floats y(static_cast<size_t>(cross.size()), NAN);
  pm_cross_scan_params mine = cross.p;
  mine.y = y.data();
  const size_t bytes =
      pm_cpu_cross_scan_workspace(&mine, parallel == nullptr ? 1 : parallel->threads);
  std::vector<char> workspace(bytes, '\xff');
  const pm_status status = pm_cpu_cross_scan(&mine, workspace.data(), parallel);
  if (bytes == 0 || status != PM_OK) {
    std::fprintf(stderr, "cross scan: %s\n", pm_status_string(status));
    y.assign(y.size(), NAN);
  }
  return y;
}

Floats run(const Plain& plain) {
  Floats y(static_cast<size_t>(plain.size()), NAN);
  pm_scan_params mine = plain.p;
  mine.y = y.data();
  char workspace[64];
  if (pm_cpu_scan(&mine, workspace, nullptr) != PM_OK) y.assign(y.size(), NAN);
  return y;
}

int failures = 0;

void expect(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Both operators' gradients, and their bits with more threads.
template <class Problem>
void check_gradients(const std::string& what, Problem& problem) {
  // A central difference is off by the square of its step of 2^-9, times what the value bends;
  // seen: 8e-7.
  constexpr double kTolerance = 5e-6;
  const oracle::Floats dy = oracle::Random(5).values(problem.size(), 1.0f);
  const oracle::Gradients one = oracle::gradients(problem, dy, nullptr);
  const double error = oracle::slope_error(problem, one, dy);
  std::printf("%s gradient error %.1e\n", what.c_str(), error);
  expect(error < kTolerance, what + " gradient");
  for (int threads : {2, 5}) {
    const oracle::Gradients more = oracle::gradients(problem, dy, pm_cpu_pool(threads));
    for (size_t i = 0; i < one.size(); ++i) {
      expect(same_bits(one[i], more[i]), what + " gradient: same bits with more threads");
    }
  }
}

void check_isa(const char* isa) {
  // float32 sums of some hundred terms: a few units of 6e-8 each.
  constexpr double kTolerance = 2e-6;
  const struct {
    int64_t batch, frames;
    int joints, d_inner, d_state, dt_rank;
  } shapes[] = {{1, 27, 17, 40, 16, 8},
                {3, 2, 17, 16, 16, 4},
                {1, 1, 1, 1, 1, 1},
                {2, 5, 7, 21, 5, 3},
                {1, 3, 17, 24, 64, 16}};
  for (const auto& s : shapes) {
    Cross cross(s.batch, s.frames, s.joints, s.d_inner, s.d_state, s.dt_rank, 1);
    const Floats one = run(cross, nullptr);
    const double e = oracle::relative_error(one, cross.answer());
    std::printf("%-8s CrossSelectiveScan L=%-4d d_inner=%-3d d_state=%-2d error %.1e\n", isa,
                static_cast<int>(s.frames * s.joints), s.d_inner, s.d_state, e);
    expect(e < kTolerance, std::string(isa) + " CrossSelectiveScan");
    for (int threads : {2, 5}) {
      expect(same_bits(one, run(cross, pm_cpu_pool(threads))),
             std::string(isa) + ": same bits with more threads");
    }
    if (s.batch > 1) check_gradients(std::string(isa) + " CrossSelectiveScan", cross);
  }
  Plain plain(21, 5, 45, 7);
  const double e = oracle::relative_error(run(plain), plain.answer());
  std::printf("%-8s SelectiveScan error %.1e\n", isa, e);
  expect(e < kTolerance, std::string(isa) + " SelectiveScan");
  check_gradients(std::string(isa) + " SelectiveScan", plain);
  plain.p.z = nullptr;
  check_gradients(std::string(isa) + " SelectiveScan, no gate", plain);
}

void check_pool(bool with_fork) {
  Cross cross(2, 9, 17, 40, 16, 8, 3);
  const Floats want = run(cross, nullptr);
  std::vector<std::thread> callers;
  bool good[4] = {};
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&cross, &want, &good, i] {
      good[i] = true;
      for (int repeat = 0; repeat < 20; ++repeat) {
        good[i] = good[i] && same_bits(want, run(cross, pm_cpu_pool(2 + i % 3)));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (bool g : good) expect(g, "concurrent callers of the pool");
  if (!with_fork) return;
  const pid_t child = fork();
  if (child == 0) _exit(same_bits(want, run(cross, pm_cpu_pool(3))) ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  expect(child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the pool after fork");
}

}  // namespace

int main(int argc, char** argv) {
  expect(pm_abi_version() == PM_ABI_VERSION, "ABI version");
  for (const char* isa : {"avx512", "avx2", "neon", "baseline"}) {
    if (pm_cpu_set_isa(isa) == PM_OK) check_isa(isa);
  }
  expect(pm_cpu_set_isa(nullptr) == PM_OK, "automatic instruction set");
  // TSan and qemu-user cannot follow a forked child that starts threads.
  check_pool(argc < 2 || std::strcmp(argv[1], "--no-fork") != 0);
  std::printf("%s: %d failures\n", pm_cpu_isa(), failures);
  return failures == 0 ? 0 : 1;
}
