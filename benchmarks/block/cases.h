// Inputs and float64 results of the block's kernels, for bench.cu.
#pragma once

#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "cuda/block/tail.h"
#include "cuda/scan/cross_launch.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::bench {

using namespace posemamba::cuda;

#define CHECK(call)                                                                           \
  do {                                                                                        \
    const cudaError_t error_ = (call);                                                        \
    if (error_ != cudaSuccess) {                                                              \
      std::fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, cudaGetErrorString(error_)); \
      std::exit(1);                                                                           \
    }                                                                                         \
  } while (0)

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr int kState = 16;
constexpr int kLimb[17] = {0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16};

inline void in_parallel(std::size_t count, const std::function<void(std::size_t)>& body) {
  const std::size_t workers = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (std::size_t w = 0; w < workers; ++w) {
    threads.emplace_back([=, &body] {
      for (std::size_t i = count * w / workers; i < count * (w + 1) / workers; ++i) body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Device memory of one case, freed with it.
class Memory {
 public:
  ~Memory() {
    for (void* p : blocks_) cudaFree(p);
  }
  void* bytes(std::size_t n) {
    void* p = nullptr;
    CHECK(cudaMalloc(&p, n));
    CHECK(cudaMemset(p, 0xff, n));  // NaN, so that what nobody wrote shows
    blocks_.push_back(p);
    return p;
  }
  float* floats(const Floats& from) {
    void* p = bytes(from.size() * 4);
    CHECK(cudaMemcpy(p, from.data(), from.size() * 4, cudaMemcpyHostToDevice));
    return static_cast<float*>(p);
  }
  __half* halves(const Floats& from) {
    std::vector<__half> h(from.size());
    in_parallel(h.size(), [&](std::size_t i) { h[i] = __float2half(from[i]); });
    void* p = bytes(h.size() * 2);
    CHECK(cudaMemcpy(p, h.data(), h.size() * 2, cudaMemcpyHostToDevice));
    return static_cast<__half*>(p);
  }

 private:
  std::vector<void*> blocks_;
};

inline Floats read_floats(const void* from, std::size_t n) {
  Floats to(n);
  CHECK(cudaMemcpy(to.data(), from, n * 4, cudaMemcpyDeviceToHost));
  return to;
}
inline Floats read_halves(const void* from, std::size_t n) {
  std::vector<__half> h(n);
  CHECK(cudaMemcpy(h.data(), from, n * 2, cudaMemcpyDeviceToHost));
  Floats to(n);
  in_parallel(n, [&](std::size_t i) { to[i] = __half2float(h[i]); });
  return to;
}

// About normal, seeded; rounded to float16 where the kernel reads it so. Repeats after a million
// and three, which no row length divides.
inline Floats draw(std::size_t n, float scale, unsigned seed, bool half) {
  Floats to(n);
  unsigned state = seed * 2654435761u + 1;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / 16777216.0f;
  };
  constexpr std::size_t kPeriod = 1000003;
  for (std::size_t i = 0; i < std::min(n, kPeriod); ++i) {
    to[i] = (next() + next() + next() - 1.5f) * 2.0f * scale;
    if (half) to[i] = __half2float(__float2half(to[i]));
  }
  for (std::size_t i = kPeriod; i < n; i += kPeriod) {
    std::copy_n(to.begin(), std::min(n - i, kPeriod), to.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return to;
}

// As pack_weight of posemamba/native/fused_ops.py.
inline Floats pack(const Floats& w, int outputs, int inputs) {
  Floats to(w.size());
  std::size_t at = 0;
  for (int nt = 0; nt < outputs / 16; ++nt) {
    for (int kt = 0; kt < inputs / 16; ++kt) {
      for (int lane = 0; lane < 32; ++lane) {
        for (int e = 0; e < 8; ++e) {
          const int n = nt * 16 + e / 4 * 8 + lane / 4;
          const int k = kt * 16 + e / 2 % 2 * 8 + lane % 4 * 2 + e % 2;
          to[at++] = w[static_cast<std::size_t>(n) * inputs + k];
        }
      }
    }
  }
  return to;
}

inline void layer_norm(Doubles& y, const float* gamma, const float* beta) {
  double mean = 0.0, squares = 0.0;
  for (double v : y) mean += v / static_cast<double>(y.size());
  for (double v : y) squares += (v - mean) * (v - mean) / static_cast<double>(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = (y[i] - mean) / std::sqrt(squares + 1e-5) * gamma[i] + beta[i];
  }
}

inline Doubles product(const Floats& w, const Doubles& x, int outputs) {
  Doubles to(static_cast<std::size_t>(outputs), 0.0);
  for (std::size_t i = 0; i < to.size(); ++i) {
    for (std::size_t k = 0; k < x.size(); ++k) to[i] += w[i * x.size() + k] * x[k];
  }
  return to;
}

inline double silu_of(double v) { return v / (1.0 + std::exp(-v)); }

struct Shape {
  int batch, frames, joints, width;      // d_model, or channels
  int columns;                           // of a conv_proj
  bool head, position, limbs, in_place;  // of a tail; in place: xz where z lies
};

struct Tail {
  Memory memory;
  pm_block_tail_params params{};
  CrossArgs scan{};
  Device device;
  Floats u, z, residual, vectors, position, out_proj, fc1, fc2, in_proj, head;
  const void* kept_z = nullptr;
  void* work = nullptr;
  std::size_t rows;
  int d;

  Tail(const Shape& s, const Device& on) : device(on), d(s.width) {
    rows = static_cast<std::size_t>(s.batch) * s.frames * s.joints;
    const int inner = 2 * d, rank = d / 16, columns = 4 * (rank + 2 * kState);
    u = draw(rows * inner, 1, 1, true), z = draw(rows * 2 * inner, 1, 2, true);
    residual = draw(rows * d, 1, 3, false), vectors = draw(17 * d, 0.3f, 4, false);
    out_proj = draw(static_cast<std::size_t>(d) * inner, 0.1f, 5, true);
    fc1 = draw(out_proj.size(), 0.1f, 6, true), fc2 = draw(out_proj.size(), 0.1f, 7, true);
    in_proj = draw(2 * out_proj.size(), 0.1f, 8, true), head = draw(3 * d + 3, 0.3f, 9, false);
    position = draw(static_cast<std::size_t>(s.frames) * d, 1, 10, false);
    for (const int at : {0, 8 * d, 10 * d, 12 * d}) {  // the gammas
      for (int i = 0; i < (at == 0 ? inner : d); ++i) vectors[at + i] += 1.0f;
    }
    Floats A(4 * inner * kState), bias(4 * inner, -3.0f);
    for (std::size_t i = 0; i < A.size(); ++i) A[i] = -static_cast<float>(i % kState + 1);
    pm_cross_scan_params& c = params.scan;
    c.x = memory.halves(u);
    c.x_dbl = memory.halves(draw(rows * columns, 1, 11, true));
    c.dt_weight = memory.floats(draw(static_cast<std::size_t>(4) * inner * rank, 0.3f, 12, false));
    c.dt_bias = memory.floats(bias), c.A = memory.floats(A);
    c.batch = s.batch, c.frames = s.frames, c.joints = s.joints;
    c.x_stride = c.y_stride = inner, c.x_dbl_stride = columns, c.d_inner = inner;
    c.d_state = kState, c.dt_rank = rank, c.directions = 4, c.dtype = PM_FLOAT16;
    for (int k = 0; k < 4; ++k) {
      c.order[k] = k % 2, c.reverse[k] = k / 2, c.limb_mask[k] = s.limbs && k % 2 == 0;
    }
    for (int j = 0; j < s.joints; ++j) c.limb_index[j] = j < 17 ? kLimb[j] % s.joints : 0;
    // z as a slice of the xz it comes in, which the kernel overwrites.
    auto* xz = static_cast<__half*>(memory.halves(z));
    if (s.in_place) kept_z = memory.halves(z);
    params.z = xz + inner, params.z_stride = 2 * inner;
    params.vectors = memory.floats(vectors);
    params.out_proj = memory.halves(pack(out_proj, d, inner));
    params.fc1 = memory.halves(pack(fc1, inner, d));
    params.fc2 = memory.halves(pack(fc2, d, inner));
    params.residual = memory.floats(residual);
    if (s.position) params.position = memory.floats(position);
    params.stream = static_cast<float*>(memory.bytes(rows * d * 4));
    if (s.head) {
      float* weight = memory.floats(head);
      params.next.head_weight = weight, params.next.head_bias = weight + 3 * d;
      params.next.poses_3d = static_cast<float*>(memory.bytes(rows * 12));
    } else {
      params.next.in_proj = memory.halves(pack(in_proj, 4 * d, d));
      params.next.xz = s.in_place ? xz : memory.bytes(rows * 8 * d);
    }
    params.d_model = d;
    params.next.epsilon = params.out_epsilon = params.norm2_epsilon = params.shared_epsilon = 1e-5f;
    work = memory.bytes(pm_cuda_cross_scan_workspace(&c, nullptr));
    CHECK(launch_cross_scan(c, nullptr, work, device, nullptr, &scan));
    CHECK(cudaDeviceSynchronize());
  }

  std::size_t next_width() const { return params.next.xz != nullptr ? 4 * d : 3; }
  // The scan too, for a tail may leave its rows where the directions were.
  void poison() const {
    CrossArgs again;
    CHECK(launch_cross_scan(params.scan, nullptr, work, device, nullptr, &again));
    CHECK(cudaMemset(params.stream, 0xff, rows * d * 4));
    if (params.next.xz != nullptr) CHECK(cudaMemset(params.next.xz, 0xff, rows * 8 * d));
    const auto* inputs = static_cast<const __half*>(params.z) - 2 * d;
    if (params.next.xz == inputs) {
      CHECK(cudaMemcpy(params.next.xz, kept_z, rows * 8 * d, cudaMemcpyDeviceToDevice));
    }
    if (params.next.xz == nullptr) CHECK(cudaMemset(params.next.poses_3d, 0xff, rows * 12));
  }
  Floats stream() const { return read_floats(params.stream, rows * d); }
  Floats next() const {
    return params.next.xz != nullptr ? read_halves(params.next.xz, rows * 4 * d)
                                     : read_floats(params.next.poses_3d, rows * 3);
  }

  // Float64 from the directions' outputs on, nothing rounded in between.
  void expect(Floats& to_stream, Floats& to_next) const {
    const std::size_t inner = 2 * static_cast<std::size_t>(d);
    const Floats partial = read_halves(scan.partial, 4 * rows * inner);
    const pm_cross_scan_params& c = params.scan;
    const int steps = scan.steps;
    to_stream.resize(rows * d), to_next.resize(rows * next_width());
    in_parallel(rows, [&](std::size_t row) {
      const int r = static_cast<int>(row);
      const int item = r / steps, at = r % steps, frame = at / c.joints, joint = at % c.joints;
      const float* v = vectors.data();
      Doubles y(inner, 0.0);
      const std::size_t limb = static_cast<std::size_t>(r - joint + scan.limb_index[joint]);
      for (int k = 0; k < 4; ++k) {
        const int step =
            scan.step_base[k] + scan.step_frame[k] * frame + scan.step_joint[k] * joint;
        const std::size_t from = (static_cast<std::size_t>(item * 4 + k) * steps + step) * inner;
        for (std::size_t i = 0; i < inner; ++i) y[i] += partial[from + i];
      }
      for (std::size_t i = 0; i < inner; ++i) {
        y[i] += v[2 * inner + i] * static_cast<double>(u[r * inner + i]) +
                v[3 * inner + i] * static_cast<double>(u[limb * inner + i]);
      }
      layer_norm(y, v, v + inner);
      for (std::size_t i = 0; i < inner; ++i) y[i] *= silu_of(z[(2 * r + 1) * inner + i]);
      Doubles s = product(out_proj, y, d);
      for (int i = 0; i < d; ++i) s[i] += residual[static_cast<std::size_t>(r) * d + i];
      Doubles normed = s;
      layer_norm(normed, v + 8 * d, v + 9 * d);
      Doubles hidden = product(fc1, normed, 2 * d);
      for (int i = 0; i < 2 * d; ++i) {
        const double h = hidden[i] + v[14 * d + i];
        hidden[i] = 0.5 * h * std::erfc(-h / std::sqrt(2.0));
      }
      const Doubles mlp = product(fc2, hidden, d);
      for (int i = 0; i < d; ++i) s[i] += mlp[i] + v[16 * d + i];
      layer_norm(s, v + 10 * d, v + 11 * d);
      for (int i = 0; i < d; ++i) {
        if (params.position != nullptr) s[i] += position[static_cast<std::size_t>(frame) * d + i];
        to_stream[static_cast<std::size_t>(r) * d + i] = static_cast<float>(s[i]);
      }
      layer_norm(s, v + 12 * d, v + 13 * d);
      const std::size_t width = next_width();
      Doubles out = params.next.xz != nullptr ? product(in_proj, s, 4 * d) : product(head, s, 3);
      for (std::size_t i = 0; i < width; ++i) {
        if (params.next.xz == nullptr) out[i] += head[3 * d + i];
        to_next[r * width + i] = static_cast<float>(out[i]);
      }
    });
  }
};

struct Conv {
  Memory memory;
  pm_conv_proj_params params{};
  Floats x, taps, bias, projection;
  std::size_t rows;

  explicit Conv(const Shape& s) {
    rows = static_cast<std::size_t>(s.batch) * s.frames * s.joints;
    const std::size_t c = s.width;
    x = draw(rows * 2 * c, 1, 1, true), taps = draw(9 * c, 0.4f, 2, false);
    bias = draw(c, 0.2f, 3, false), projection = draw(s.columns * c, 0.1f, 4, true);
    params.x = memory.halves(x), params.x_stride = 2 * s.width;
    params.weight = memory.floats(taps), params.bias = memory.floats(bias);
    params.projection = memory.halves(pack(projection, s.columns, s.width));
    params.u = memory.bytes(rows * c * 2), params.x_dbl = memory.bytes(rows * s.columns * 2);
    params.batch = s.batch, params.frames = s.frames, params.joints = s.joints;
    params.channels = s.width, params.columns = s.columns;
  }
  void poison() const {
    CHECK(cudaMemset(params.u, 0xff, rows * params.channels * 2));
    CHECK(cudaMemset(params.x_dbl, 0xff, rows * params.columns * 2));
  }
  void expect(Floats& to_u, Floats& to_x_dbl) const {
    const int J = params.joints, F = static_cast<int>(params.frames), C = params.channels;
    to_u.resize(rows * C), to_x_dbl.resize(rows * params.columns);
    in_parallel(rows, [&](std::size_t row) {
      const int r = static_cast<int>(row);
      const int frame = r / J % F, joint = r % J;
      Doubles sum(bias.begin(), bias.end());
      for (int t = 0; t < 9; ++t) {
        const int f = frame + t / 3 - 1, j = joint + t % 3 - 1;
        if (f < 0 || f >= F || j < 0 || j >= J) continue;
        const std::size_t from = static_cast<std::size_t>(r + (f - frame) * J + j - joint) * 2 * C;
        for (int i = 0; i < C; ++i) sum[i] += static_cast<double>(taps[t * C + i]) * x[from + i];
      }
      for (double& v : sum) v = silu_of(v);
      const Doubles out = product(projection, sum, params.columns);
      std::copy(sum.begin(), sum.end(), to_u.begin() + static_cast<std::ptrdiff_t>(r) * C);
      std::copy(out.begin(), out.end(),
                to_x_dbl.begin() + static_cast<std::ptrdiff_t>(r) * params.columns);
    });
  }
};

// Largest error of a row, relative to the root mean square row, and NaN where one is.
inline double worst_row(const Floats& found, const Floats& expected, std::size_t width) {
  double worst = 0.0, size = 1e-30;
  for (float v : expected) size += std::pow(static_cast<double>(v), 2);
  size /= static_cast<double>(expected.size()) / static_cast<double>(width);
  for (std::size_t r = 0; r < found.size(); r += width) {
    double off = 0.0;
    for (std::size_t i = r; i < r + width; ++i) {
      off += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    }
    const double error = std::sqrt(off / size);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

}  // namespace posemamba::bench
