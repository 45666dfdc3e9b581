// Random problems of both operators with their answers by scalar float64 loops, for checks that
// need nothing but a C++ compiler.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "posemamba/scan.h"

namespace oracle {

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

inline double softplus(double v) { return v > 20 ? v : std::log1p(std::exp(v)); }

// CrossSelectiveScan over four directions, one of each order, two reversed, two with limb sums.
struct Cross {
  pm_cross_scan_params p{};  // points into the vectors; y is null
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
  Cross(const Cross&) = delete;
  Cross& operator=(const Cross&) = delete;

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

  std::vector<double> answer() const {
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
};

// SelectiveScan of one batch item and two groups, the second reversed, with every option on; the
// gate is left out where p.z is set to null.
struct Plain {
  pm_scan_params p{};  // points into the vectors; y is null
  Floats u, delta, A, B, C, D, z, bias;

  Plain(int32_t channels, int32_t d_state, int64_t length, uint64_t seed) {
    Random random(seed);
    const int64_t rows = 2 * int64_t{channels};
    u = random.values(rows * length, 1.5f);
    delta = random.values(rows * length, 2.0f, -2.0f);
    z = random.values(rows * length, 4.0f);
    A = random.values(rows * d_state, 4.0f, -5.0f);
    B = random.values(2 * d_state * length, 1.5f);
    C = random.values(2 * d_state * length, 1.5f);
    D = random.values(rows, 1.0f);
    bias = random.values(rows, 1.0f);
    p = pm_scan_params{u.data(), delta.data(), A.data(), B.data(),   C.data(), D.data(),
                       z.data(), bias.data(),  nullptr,  1,          length,   2,
                       channels, d_state,      1,        PM_FLOAT32, {0, 1}};
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  int64_t size() const { return 2 * int64_t{p.channels} * p.length; }

  std::vector<double> answer() const {
    std::vector<double> y(u.size());
    std::vector<double> h(static_cast<size_t>(p.d_state));
    for (int c = 0; c < 2 * p.channels; ++c) {
      const int g = c / p.channels;
      std::fill(h.begin(), h.end(), 0.0);
      for (int64_t s = 0; s < p.length; ++s) {
        const int64_t l = g == 1 ? p.length - 1 - s : s;
        const auto at = static_cast<size_t>(c * p.length + l);
        const double dt = softplus(double{delta[at]} + bias[static_cast<size_t>(c)]);
        double sum = double{D[static_cast<size_t>(c)]} * u[at];
        for (int n = 0; n < p.d_state; ++n) {
          const auto bc = static_cast<size_t>((g * p.d_state + n) * p.length + l);
          double& hn = h[static_cast<size_t>(n)];
          hn = std::exp(dt * A[static_cast<size_t>(c * p.d_state + n)]) * hn + dt * u[at] * B[bc];
          sum += C[bc] * hn;
        }
        y[at] = p.z == nullptr ? sum : sum * z[at] / (1 + std::exp(-double{z[at]}));
      }
    }
    return y;
  }
};

// Largest difference over the largest value; NaN anywhere gives infinity.
inline double relative_error(const Floats& got, const std::vector<double>& want) {
  double worst = 0, scale = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::fabs(got[i] - want[i]);
    if (!(difference <= worst)) worst = std::isnan(difference) ? INFINITY : difference;
    scale = std::max(scale, std::fabs(want[i]));
  }
  return worst / scale;
}

}  // namespace oracle
