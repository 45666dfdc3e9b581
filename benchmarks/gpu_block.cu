// The block's kernels around the scan on a GPU, each design by itself: every row against float64 on
// the host (`check`), and timings of both designs in one run (`time`), a JSON object a line.
//   cmake --build build/gpu --target posemamba_block_bench
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cuda/block/conv_proj/designs.h"
#include "cuda/block/tail.h"
#include "cuda/scan/cross_launch.h"
#include "posemamba/scan_cuda.h"

namespace {

using namespace posemamba::cuda;

#define CHECK(call)                                                                          \
  do {                                                                                       \
    const cudaError_t error_ = (call);                                                       \
    if (error_ != cudaSuccess) {                                                             \
      std::fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, cudaGetErrorString(error_)); \
      std::exit(1);                                                                          \
    }                                                                                        \
  } while (0)

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr int kState = 16;
constexpr int kLimb[17] = {0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16};

void in_parallel(std::size_t count, const std::function<void(std::size_t)>& body) {
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

Floats read_floats(const void* from, std::size_t n) {
  Floats to(n);
  CHECK(cudaMemcpy(to.data(), from, n * 4, cudaMemcpyDeviceToHost));
  return to;
}
Floats read_halves(const void* from, std::size_t n) {
  std::vector<__half> h(n);
  CHECK(cudaMemcpy(h.data(), from, n * 2, cudaMemcpyDeviceToHost));
  Floats to(n);
  in_parallel(n, [&](std::size_t i) { to[i] = __half2float(h[i]); });
  return to;
}

// About normal, seeded; rounded to float16 where the kernel reads it so. Repeats after a million
// and three, which no row length divides.
Floats draw(std::size_t n, float scale, unsigned seed, bool half) {
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
Floats pack(const Floats& w, int outputs, int inputs) {
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

void layer_norm(Doubles& y, const float* gamma, const float* beta) {
  double mean = 0.0, squares = 0.0;
  for (double v : y) mean += v / static_cast<double>(y.size());
  for (double v : y) squares += (v - mean) * (v - mean) / static_cast<double>(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = (y[i] - mean) / std::sqrt(squares + 1e-5) * gamma[i] + beta[i];
  }
}

Doubles product(const Floats& w, const Doubles& x, int outputs) {
  Doubles to(static_cast<std::size_t>(outputs), 0.0);
  for (std::size_t i = 0; i < to.size(); ++i) {
    for (std::size_t k = 0; k < x.size(); ++k) to[i] += w[i * x.size() + k] * x[k];
  }
  return to;
}

double silu_of(double v) { return v / (1.0 + std::exp(-v)); }

struct Shape {
  int batch, frames, joints, width;  // d_model, or channels
  int columns;  // of a conv_proj
  bool head, position, limbs, in_place;  // of a tail; in place: xz where z lies
};

// Largest error of a row, relative to the root mean square row, and NaN where one is.
double worst_row(const Floats& found, const Floats& expected, std::size_t width) {
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

struct Tail {
  Memory memory;
  pm_block_tail_params params{};
  CrossArgs scan{};
  Floats u, z, residual, vectors, position, out_proj, fc1, fc2, in_proj, head;
  const void* kept_z = nullptr;
  std::size_t rows;
  int d;

  explicit Tail(const Shape& s, const Device& device) : d(s.width) {
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
    void* work = memory.bytes(pm_cuda_cross_scan_workspace(&c, nullptr));
    CHECK(launch_cross_scan(c, nullptr, work, device, nullptr, &scan));
    CHECK(cudaDeviceSynchronize());
  }

  std::size_t next_width() const { return params.next.xz != nullptr ? 4 * d : 3; }
  void poison() const {
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

// The device as a launcher sees it that has only so many multiprocessors: several tiles a block.
Device with_blocks(Device device, int blocks) {
  if (blocks > 0) device.multiprocessors = blocks;
  return device;
}

// Every design of one case against float64; the persistent one with several grids, which must not
// change a bit. A persistent result may be 1.2 times as far off as the other design's.
template <class Case, class Single, class Persistent, class Results>
bool check_case(const char* name, const Shape& s, const Case& c, Single&& single,
                Persistent&& persistent, Results&& results) {
  Floats expected[2], first[2];
  c.expect(expected[0], expected[1]);
  std::size_t width[2];
  for (int i = 0; i < 2; ++i) width[i] = expected[i].size() / c.rows;
  double off[2][2];
  bool same = true;
  for (const int blocks : {-1, 0, 1, 3}) {  // -1: the other design
    c.poison();
    CHECK(blocks < 0 ? single() : persistent(blocks));
    CHECK(cudaDeviceSynchronize());
    Floats found[2];
    results(found);
    for (int i = 0; i < 2; ++i) {
      if (blocks <= 0) off[blocks + 1][i] = worst_row(found[i], expected[i], width[i]);
      if (blocks == 0) first[i] = found[i];
      if (blocks > 0) {
        same = same &&
               std::memcmp(first[i].data(), found[i].data(), found[i].size() * sizeof(float)) == 0;
      }
    }
  }
  bool good = same;
  for (int i = 0; i < 2; ++i) {
    good = good && off[0][i] < 5e-3 && off[1][i] < 1.2 * off[0][i] + 1e-4;
  }
  std::printf(
      "%s %-9s %d %d x %d x %d columns %d%s%s%s%s: worst row single %.1e %.1e persistent %.1e %.1e%s\n",
      good ? "ok  " : "BAD ", name, s.width, s.batch, s.frames, s.joints, s.columns,
      s.head ? " head" : "", s.position ? " position" : "", s.limbs ? " limbs" : "",
      s.in_place ? " in place" : "", off[0][0], off[0][1], off[1][0], off[1][1],
      same ? "" : " DIFFERS between grids");
  return good;
}

bool check_tail(const Shape& s, const Device& device) {
  const Tail c(s, device);
  return check_case(
      "tail", s, c, [&] { return launch_tail_single(c.params, c.scan, device, nullptr); },
      [&](int blocks) {
        return launch_tail_persistent(c.params, c.scan, with_blocks(device, blocks), nullptr);
      },
      [&](Floats(&to)[2]) { to[0] = c.stream(), to[1] = c.next(); });
}

bool check_conv(const Shape& s, const Device& device) {
  const Conv c(s);
  return check_case(
      "conv_proj", s, c, [&] { return launch_conv_proj_single(c.params, device, nullptr); },
      [&](int blocks) {
        return launch_conv_proj_persistent(c.params, with_blocks(device, blocks), nullptr);
      },
      [&](Floats(&to)[2]) {
        to[0] = read_halves(c.params.u, c.rows * c.params.channels);
        to[1] = read_halves(c.params.x_dbl, c.rows * c.params.columns);
      });
}

int check(bool small) {
  const Device device = current_device();
  const bool no = false, yes = true;
  std::vector<Shape> shapes = {
      {1, 1, 17, 0, 0, no, no, yes, no},    {3, 5, 17, 0, 0, yes, yes, yes, no},
      {2, 13, 17, 0, 0, no, yes, no, yes},  {129, 1, 3, 0, 0, no, no, yes, no},
  };
  if (!small) {
    const std::vector<Shape> more = {
        {1, 243, 17, 0, 0, no, no, yes, no},   {5, 81, 17, 0, 0, no, no, yes, yes},
        {7, 27, 17, 0, 0, yes, no, no, no},    {31, 9, 17, 0, 0, yes, yes, yes, no},
        {257, 1, 17, 0, 0, no, no, yes, no},   {3, 100, 1, 0, 0, no, yes, no, no},
        {2, 3, 64, 0, 0, no, no, no, yes},     {2, 243, 17, 0, 0, yes, yes, yes, no},
        {1, 2, 64, 0, 0, no, no, no, no},      {40, 7, 13, 0, 0, no, yes, yes, no},
    };
    shapes.insert(shapes.end(), more.begin(), more.end());
  }
  int bad = 0;
  for (Shape s : shapes) {
    for (const int d_model : {64, 128}) {
      s.width = d_model;
      bad += check_tail(s, device) ? 0 : 1;
      s.width = 2 * d_model;
      for (const int columns : {4 * (d_model / 16 + 32), 16, 48}) {
        Shape conv{s.batch, s.frames, s.joints, s.width, columns, no, no, no, no};
        bad += check_conv(conv, device) ? 0 : 1;
      }
    }
  }
  std::printf("%d bad\n", bad);
  return bad == 0 ? 0 : 1;
}

__global__ void copy_kernel(uint4* to, const uint4* from, std::size_t words) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < words;
       i += std::size_t{gridDim.x} * blockDim.x) {
    to[i] = from[i];
  }
}

// Microseconds of one launch: median over replays of a graph of many, and the fastest replay.
struct Time {
  double median, fastest;
};

Time time_of(int launches, const std::function<cudaError_t(cudaStream_t)>& run) {
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream));
  CHECK(run(stream));
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < launches; ++i) CHECK(run(stream));
  CHECK(cudaStreamEndCapture(stream, &graph));
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < 23; ++i) {
    CHECK(cudaEventRecord(begin, stream));
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaEventRecord(end, stream));
    CHECK(cudaEventSynchronize(end));
    float ms = 0.0f;
    CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) times.push_back(ms * 1000.0 / launches);  // after two to warm up
  }
  CHECK(cudaGraphExecDestroy(exec));
  CHECK(cudaGraphDestroy(graph));
  CHECK(cudaStreamDestroy(stream));
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[0]};
}

void print_times(const char* kernel, const Shape& s, double bytes, double bandwidth, Time single,
                 Time persistent) {
  std::printf(
      "{\"kernel\": \"%s\", \"d_inner\": %d, \"batch\": %d, \"frames\": %d, \"memory_floor\": %.2f, "
      "\"single\": %.2f, \"single_fastest\": %.2f, \"persistent\": %.2f, "
      "\"persistent_fastest\": %.2f}\n",
      kernel, s.width, s.batch, s.frames, bytes / bandwidth, single.median, single.fastest,
      persistent.median, persistent.fastest);
  std::fflush(stdout);
}

int time_all(int only_batch) {
  const Device device = current_device();
  double bandwidth = 0.0;  // bytes a microsecond, read and written, of a large copy
  {
    Memory memory;
    constexpr std::size_t kBytes = std::size_t{2} << 30;
    auto* from = static_cast<uint4*>(memory.bytes(kBytes));
    auto* to = static_cast<uint4*>(memory.bytes(kBytes));
    const Time time = time_of(3, [&](cudaStream_t stream) {
      copy_kernel<<<device.multiprocessors * 16, 512, 0, stream>>>(to, from, kBytes / 16);
      return cudaGetLastError();
    });
    bandwidth = 2.0 * kBytes / time.median;
    std::printf("{\"copy_TB_per_s\": %.2f, \"multiprocessors\": %d}\n", bandwidth / 1e6,
                device.multiprocessors);
  }
  struct Size {
    int batch, frames;
  };
  const Size sizes[] = {{1, 243}, {2, 243}, {3, 243}, {4, 243},  {5, 243},  {6, 243}, {8, 243},
                        {9, 243}, {12, 243}, {16, 243}, {24, 243}, {32, 243}, {32, 27}, {64, 27}};
  for (const int d_inner : {256, 128}) {
    for (const Size size : sizes) {
      if (only_batch != 0 && only_batch != size.batch) continue;
      const int launches = size.batch * size.frames >= 7776 ? 10 : 30;
      Shape s{size.batch, size.frames, 17, d_inner / 2, 0, false, false, true, false};
      {
        const Tail c(s, device);
        const Time single = time_of(launches, [&](cudaStream_t stream) {
          return launch_tail_single(c.params, c.scan, device, stream);
        });
        const Time persistent = time_of(launches, [&](cudaStream_t stream) {
          return launch_tail_persistent(c.params, c.scan, device, stream);
        });
        s.width = d_inner;
        print_times("tail", s, 20.0 * d_inner * static_cast<double>(c.rows), bandwidth, single,
                    persistent);
      }
      s.columns = 4 * (d_inner / 32 + 32);
      const Conv c(s);
      const Time single = time_of(launches, [&](cudaStream_t stream) {
        return launch_conv_proj_single(c.params, device, stream);
      });
      const Time persistent = time_of(launches, [&](cudaStream_t stream) {
        return launch_conv_proj_persistent(c.params, device, stream);
      });
      print_times("conv_proj", s, (4.0 * d_inner + 2.0 * s.columns) * static_cast<double>(c.rows),
                  bandwidth, single, persistent);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "check") return check(argc > 2);
  if (mode == "time") return time_all(argc > 2 ? std::atoi(argv[2]) : 0);
  std::fprintf(stderr, "usage: posemamba_block_bench check [small] | time [batch]\n");
  return 2;
}
