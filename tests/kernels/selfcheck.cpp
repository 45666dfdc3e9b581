// A check of the CPU launchers that needs nothing but a C++ compiler, for cross builds (qemu),
// sanitizers and installs: both operators against scalar float64 loops, on every instruction set of
// the machine, plus the pool under concurrent callers and after fork.
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

namespace {

using Floats = std::vector<float>;

// Uniform in [-1, 1): the same on every platform, unlike the standard distributions.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  Floats values(int64_t count, float scale, float shift = 0) {
    Floats v(static_cast<size_t>(count));
    for (float& f : v) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      f = (static_cast<float>(state_ >> 40) * 0x1p-23f - 1.0f) * scale + shift;
    }
    return v;
  }

 private:
  uint64_t state_;
};

double softplus(double v) { return v > 20 ? v : std::log1p(std::exp(v)); }

struct Cross {
  pm_cross_scan_params p{};
  Floats x, x_dbl, weight, bias, A, D;

  Cross(int64_t batch, int64_t frames, int joints, int d_inner, int d_state, int dt_rank,
        uint64_t seed) {
    Random random(seed);
    p.batch = batch;
    p.frames = frames;
    p.joints = joints;
    p.d_inner = d_inner;
    p.d_state = d_state;
    p.dt_rank = dt_rank;
    p.directions = 4;
    const int64_t rows = batch * frames * joints;
    p.x_stride = p.y_stride = d_inner;
    p.x_dbl_stride = 4 * (dt_rank + 2 * d_state);
    x = random.values(rows * d_inner, 1.5f);
    x_dbl = random.values(rows * p.x_dbl_stride, 1.5f);
    weight = random.values(4 * d_inner * dt_rank, 0.5f);
    bias = random.values(4 * d_inner, 2.0f, -4.0f);
    A = random.values(4 * d_inner * d_state, 7.5f, -8.0f);
    D = random.values(4 * d_inner, 1.0f);
    for (int k = 0; k < 4; ++k) {
      p.order[k] = k;
      p.reverse[k] = k / 2;
      p.limb_mask[k] = k % 2 == 0;
    }
    for (int j = 0; j < joints; ++j) p.limb_index[j] = std::max(0, j - 1 - j % 3);
    p.x = x.data();
    p.x_dbl = x_dbl.data();
    p.dt_weight = weight.data();
    p.dt_bias = bias.data();
    p.A = A.data();
    p.D = D.data();
  }

  int64_t size() const { return p.batch * p.frames * p.joints * p.d_inner; }

  int64_t position(int k, int64_t step) const {
    const int64_t length = p.frames * p.joints;
    if (p.reverse[k]) step = length - 1 - step;
    if (p.order[k] % 2 == 0) {
      const int64_t t = step / p.joints, j = step % p.joints;
      return t * p.joints + (p.order[k] == PM_FRAME_MAJOR ? j : p.joints - 1 - j);
    }
    const int64_t j = step / p.frames, t = step % p.frames;
    return (p.order[k] == PM_JOINT_MAJOR ? t : p.frames - 1 - t) * p.joints + j;
  }

  // A row's element, the limb neighbour's added where the direction wants it.
  double read(const Floats& from, int64_t stride, int64_t first, int64_t at, int k,
              int64_t i) const {
    double value = from[static_cast<size_t>((first + at) * stride + i)];
    if (p.limb_mask[k]) {
      const int64_t limb = at - at % p.joints + p.limb_index[at % p.joints];
      value += from[static_cast<size_t>((first + limb) * stride + i)];
    }
    return value;
  }

  std::vector<double> oracle() const {
    std::vector<double> y(static_cast<size_t>(size()));
    const int64_t length = p.frames * p.joints;
    const int64_t width = p.dt_rank + 2 * p.d_state;
    std::vector<double> h(static_cast<size_t>(p.d_state));
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int k = 0; k < 4; ++k) {
        for (int64_t c = 0; c < p.d_inner; ++c) {
          std::fill(h.begin(), h.end(), 0.0);
          const int64_t row = k * p.d_inner + c;
          for (int64_t s = 0; s < length; ++s) {
            const int64_t at = position(k, s);
            const double u = read(x, p.x_stride, b * length, at, k, c);
            double dt = bias[static_cast<size_t>(row)];
            for (int r = 0; r < p.dt_rank; ++r) {
              dt += weight[static_cast<size_t>(row * p.dt_rank + r)] *
                    read(x_dbl, p.x_dbl_stride, b * length, at, k, k * width + r);
            }
            dt = softplus(dt);
            double sum = D[static_cast<size_t>(row)] * u;
            for (int n = 0; n < p.d_state; ++n) {
              const int64_t state = k * width + p.dt_rank + n;
              const double B = read(x_dbl, p.x_dbl_stride, b * length, at, k, state);
              const double C = read(x_dbl, p.x_dbl_stride, b * length, at, k, state + p.d_state);
              double& hn = h[static_cast<size_t>(n)];
              hn = std::exp(dt * A[static_cast<size_t>(row * p.d_state + n)]) * hn + dt * u * B;
              sum += C * hn;
            }
            y[static_cast<size_t>((b * length + at) * p.d_inner + c)] += sum;
          }
        }
      }
    }
    return y;
  }

  Floats run(const pm_parallel* parallel) {
    Floats y(static_cast<size_t>(size()), NAN);
    pm_cross_scan_params mine = p;
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
};

// SelectiveScan of one batch item and two groups, the second reversed, with every option on.
struct Plain {
  static constexpr int kChannels = 21, kStates = 5, kLength = 45;
  pm_scan_params p{};
  Floats u, delta, A, B, C, D, z, bias;

  Plain() {
    Random random(7);
    u = random.values(2 * kChannels * kLength, 1.5f);
    delta = random.values(2 * kChannels * kLength, 2.0f, -2.0f);
    z = random.values(2 * kChannels * kLength, 4.0f);
    A = random.values(2 * kChannels * kStates, 4.0f, -5.0f);
    B = random.values(2 * kStates * kLength, 1.5f);
    C = random.values(2 * kStates * kLength, 1.5f);
    D = random.values(2 * kChannels, 1.0f);
    bias = random.values(2 * kChannels, 1.0f);
    p = pm_scan_params{u.data(),  delta.data(), A.data(), B.data(),   C.data(), D.data(),
                       z.data(),  bias.data(),  nullptr,  1,          kLength,  2,
                       kChannels, kStates,      1,        PM_FLOAT32, {0, 1}};
  }

  std::vector<double> oracle() const {
    std::vector<double> y(u.size());
    for (int c = 0; c < 2 * kChannels; ++c) {
      const int g = c / kChannels;
      double h[kStates] = {};
      for (int s = 0; s < kLength; ++s) {
        const int l = g == 1 ? kLength - 1 - s : s;
        const auto at = static_cast<size_t>(c * kLength + l);
        const double dt = softplus(double{delta[at]} + bias[static_cast<size_t>(c)]);
        double sum = double{D[static_cast<size_t>(c)]} * u[at];
        for (int n = 0; n < kStates; ++n) {
          const auto bc = static_cast<size_t>((g * kStates + n) * kLength + l);
          h[n] = std::exp(dt * A[static_cast<size_t>(c * kStates + n)]) * h[n] + dt * u[at] * B[bc];
          sum += C[bc] * h[n];
        }
        y[at] = sum * z[at] / (1 + std::exp(-double{z[at]}));
      }
    }
    return y;
  }

  Floats run() {
    Floats y(u.size(), NAN);
    p.y = y.data();
    char workspace[64];
    if (pm_cpu_scan(&p, workspace, nullptr) != PM_OK) y.assign(y.size(), NAN);
    return y;
  }
};

// Largest difference over the largest value; NaN anywhere gives infinity.
double error(const Floats& got, const std::vector<double>& want) {
  double worst = 0, scale = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::fabs(got[i] - want[i]);
    if (!(difference <= worst)) worst = std::isnan(difference) ? INFINITY : difference;
    scale = std::max(scale, std::fabs(want[i]));
  }
  return worst / scale;
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
    const Floats one = cross.run(nullptr);
    const double e = error(one, cross.oracle());
    std::printf("%-8s CrossSelectiveScan L=%-4d d_inner=%-3d d_state=%-2d error %.1e\n", isa,
                static_cast<int>(s.frames * s.joints), s.d_inner, s.d_state, e);
    expect(e < kTolerance, std::string(isa) + " CrossSelectiveScan");
    for (int threads : {2, 5}) {
      expect(same_bits(one, cross.run(pm_cpu_pool(threads))),
             std::string(isa) + ": same bits with more threads");
    }
  }
  Plain plain;
  const double e = error(plain.run(), plain.oracle());
  std::printf("%-8s SelectiveScan error %.1e\n", isa, e);
  expect(e < kTolerance, std::string(isa) + " SelectiveScan");
}

void check_pool(bool with_fork) {
  Cross cross(2, 9, 17, 40, 16, 8, 3);
  const Floats want = cross.run(nullptr);
  std::vector<std::thread> callers;
  bool good[4] = {};
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&cross, &want, &good, i] {
      good[i] = true;
      for (int repeat = 0; repeat < 20; ++repeat) {
        good[i] = good[i] && same_bits(want, cross.run(pm_cpu_pool(2 + i % 3)));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (bool g : good) expect(g, "concurrent callers of the pool");
  if (!with_fork) return;
  const pid_t child = fork();
  if (child == 0) _exit(same_bits(want, cross.run(pm_cpu_pool(3))) ? 0 : 1);
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
