// The block's kernels around the scan on a GPU, each design by itself: every row against float64 on
// the host (`check`), and timings of all designs in one run (`time`), a JSON object a line; and
// which of them a device gets (`plan`).
//   cmake --build build/gpu --target posemamba_block_bench
#include <cstring>
#include <string>

#include "cases.h"
#include "cuda/block/conv_proj/designs.h"
#include "cuda/scan/split_channel/launch.h"
#include "plan.h"
#include "prepared.h"

namespace posemamba::bench {
namespace {

// The device as a launcher sees it that has only so many multiprocessors: several tiles a block.
Device with_blocks(Device device, int blocks) {
  if (blocks > 0) device.multiprocessors = blocks;
  return device;
}

// A design with the grids it is tried with, which must not change a bit.
struct Design {
  const char* name;
  std::vector<std::function<cudaError_t()>> grids;
};

// Every design of one case against float64. A later one's result may be 1.2 times as far off as the
// first's.
template <class Case, class Results>
bool check_case(const char* name, const Shape& s, const Case& c, const std::vector<Design>& designs,
                Results&& results) {
  Floats expected[2];
  c.expect(expected[0], expected[1]);
  double first[2] = {};
  bool good = true;
  std::string found_off;
  for (const Design& design : designs) {
    Floats kept[2];
    for (const auto& launch : design.grids) {
      c.poison();
      CHECK(launch());
      CHECK(cudaDeviceSynchronize());
      Floats found[2];
      results(found);
      for (int i = 0; i < 2; ++i) {
        if (!kept[i].empty()) {
          const bool same =
              std::memcmp(kept[i].data(), found[i].data(), found[i].size() * sizeof(float)) == 0;
          if (!same) found_off += " DIFFERS between grids";
          good = good && same;
          continue;
        }
        const double off = worst_row(found[i], expected[i], expected[i].size() / c.rows);
        if (&design == &designs[0]) first[i] = off;
        good = good && off < 5e-3 && off <= 1.2 * first[i] + 1e-4;
        char text[64];
        std::snprintf(text, sizeof text, "%s %.1e",
                      i == 0 ? (std::string(" ") + design.name).c_str() : "", off);
        found_off += text;
        kept[i] = std::move(found[i]);
      }
    }
  }
  std::printf("%s %-9s %d %d x %d x %d columns %d%s%s%s%s: worst row%s\n", good ? "ok  " : "BAD ",
              name, s.width, s.batch, s.frames, s.joints, s.columns, s.head ? " head" : "",
              s.position ? " position" : "", s.limbs ? " limbs" : "", s.in_place ? " in place" : "",
              found_off.c_str());
  return good;
}

bool check_tail(const Shape& s, const Device& device) {
  const Tail c(s, device);
  std::vector<Design> designs;
  const auto add = [&](const char* name, std::initializer_list<int> grids, auto launch_design) {
    designs.push_back({name, {}});
    for (const int blocks : grids) {
      designs.back().grids.push_back([&c, &device, blocks, launch_design] {
        return launch_design(c.params, c.scan, with_blocks(device, blocks), nullptr);
      });
    }
  };
  constexpr int kMany = 1 << 20;  // multiprocessors
  add("single", {0}, launch_tail_single);
  if (tail_has_warpgroups(c.params, device)) {  // 16 positions a block are normalised otherwise
    add("warpgroups", {1}, launch_tail_warpgroups);
    add("short warpgroups", {kMany}, launch_tail_warpgroups);
  }
  if (tail_has_clusters(c.params, device)) {  // other clusters add in another order
    add("clusters", {0}, launch_tail_clusters);
    add("small clusters", {kMany}, launch_tail_clusters);
    add("other clusters", {1}, launch_tail_clusters);
  }
  if (tail_can_persist(c.params, device)) {
    add("persistent", {0, 1, 3}, [&](const auto& params, const auto& scan, auto&&... to) {
      return launch_tail_persistent(params, scan, c.work, to...);
    });
  }
  return check_case("tail", s, c, designs,
                    [&](Floats(&to)[2]) { to[0] = c.stream(), to[1] = c.next(); });
}

// The design of conv_proj for batches that a width has.
cudaError_t launch_conv_batch(const pm_conv_proj_params& params, const Device& device,
                              cudaStream_t stream) {
  return params.channels < 512 ? launch_conv_proj_persistent(params, device, stream)
                               : launch_conv_proj_parted(params, device, stream);
}

bool check_conv(const Shape& s, const Device& device) {
  const Conv c(s);
  std::vector<Design> designs = {
      {"single", {[&] { return launch_conv_proj_single(c.params, device, nullptr); }}}};
  if (s.width < 512 || conv_proj_can_part(c.params, device)) {
    designs.push_back({s.width < 512 ? "persistent" : "parted", {}});
    for (const int blocks : {0, 1, 3}) {
      designs[1].grids.push_back([&, blocks] {
        return launch_conv_batch(c.params, with_blocks(device, blocks), nullptr);
      });
    }
  }
  return check_case("conv_proj", s, c, designs, [&](Floats(&to)[2]) {
    to[0] = read_halves(c.params.u, c.rows * c.params.channels);
    to[1] = read_halves(c.params.x_dbl, c.rows * c.params.columns);
  });
}

bool check_prepared(const Shape& s, const Device& device) {
  PreparedCase c(s, device);
  std::string said;
  const bool good = c.check(device, &said);
  std::printf("%s inputs    %d %d x %d x %d%s: off%s\n", good ? "ok  " : "BAD ", s.width, s.batch,
              s.frames, s.joints, s.limbs ? " limbs" : "", said.c_str());
  return good;
}

int check(bool small, int only_width) {
  const Device device = current_device();
  const bool no = false, yes = true;
  std::vector<Shape> shapes = {
      {1, 1, 17, 0, 0, no, no, yes, no},
      {3, 5, 17, 0, 0, yes, yes, yes, no},
      {2, 13, 17, 0, 0, no, yes, no, yes},
      {129, 1, 3, 0, 0, no, no, yes, no},
  };
  if (!small) {
    const std::vector<Shape> more = {
        {1, 243, 17, 0, 0, no, no, yes, no}, {5, 81, 17, 0, 0, no, no, yes, yes},
        {7, 27, 17, 0, 0, yes, no, no, no},  {31, 9, 17, 0, 0, yes, yes, yes, no},
        {257, 1, 17, 0, 0, no, no, yes, no}, {3, 100, 1, 0, 0, no, yes, no, no},
        {2, 3, 64, 0, 0, no, no, no, yes},   {2, 243, 17, 0, 0, yes, yes, yes, no},
        {1, 2, 64, 0, 0, no, no, no, no},    {40, 7, 13, 0, 0, no, yes, yes, no},
    };
    shapes.insert(shapes.end(), more.begin(), more.end());
  }
  int bad = 0;
  for (Shape s : shapes) {
    for (const int d_model : {64, 128, 256}) {
      if (only_width != 0 && only_width != d_model) continue;
      s.width = d_model;
      bad += check_tail(s, device) ? 0 : 1;
      bad += check_prepared({s.batch, s.frames, s.joints, d_model, 0, no, no, s.limbs, no}, device)
                 ? 0
                 : 1;
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

// Designs that are there, by name.
using Times = std::vector<std::pair<const char*, Time>>;

void print_times(const char* kernel, const Shape& s, double bytes, double bandwidth,
                 const Times& times) {
  std::printf("{\"kernel\": \"%s\", \"d_inner\": %d, \"batch\": %d, \"frames\": %d, ", kernel,
              s.width, s.batch, s.frames);
  std::printf("\"memory_floor\": %.2f", bytes / bandwidth);
  for (const auto& [name, time] : times) {
    std::printf(", \"%s\": %.2f, \"%s_fastest\": %.2f", name, time.median, name, time.fastest);
  }
  std::printf("}\n");
  std::fflush(stdout);
}

// conv_proj and the preparing kernel, against the convolutions that write the same by themselves.
void time_prepared(Shape s, const Device& device, int launches) {
  const Tail tail(s, device);
  pm_cross_scan_params scan = tail.params.scan;
  s.width = 2 * s.width, s.columns = static_cast<int>(scan.x_dbl_stride);
  Conv c(s);
  scan.x = c.params.u, scan.x_dbl = c.params.x_dbl;
  void* work = c.memory.bytes(pm_cuda_cross_scan_workspace(&scan, nullptr));
  PreparedScan plan;
  if (!plan_prepared_scan(scan, work, device, &plan)) return;
  const Time two = time_of(launches, [&](cudaStream_t stream) {
    const cudaError_t error = pm_cuda_conv_proj(&c.params, stream);
    if (error != cudaSuccess) return error;
    return split_channel::launch_prepare(scan, plan.prepared, plan.args, device, stream);
  });
  Time few = {}, all = {};
  if (conv_proj_prepares(c.params, device)) {
    few = time_of(launches, [&](cudaStream_t stream) {
      return launch_conv_proj_prepared(c.params, plan.args, plan.prepared, device, stream);
    });
  }
  if (conv_proj_walks(scan, device)) {
    all = time_of(launches, [&](cudaStream_t stream) {
      return launch_conv_proj_walked(c.params, plan.args, plan.prepared, device, stream);
    });
  }
  // The resident design's blocks find each other's words of the launch before: none waits.
  const Time rest = time_of(launches, [&](cudaStream_t stream) {
    return launch_prepared_scan(scan, device, stream, &plan);
  });
  scan.half_sums = 1;
  const Time half = time_of(launches, [&](cudaStream_t stream) {
    return launch_prepared_scan(scan, device, stream, &plan);
  });
  std::printf(
      "{\"kernel\": \"scan inputs\", \"d_inner\": %d, \"batch\": %d, \"frames\": %d, "
      "\"two_launches\": %.2f, \"few_frames\": %.2f, \"all_frames\": %.2f, \"scan\": %.2f, "
      "\"half_sums\": %.2f}\n",
      s.width, s.batch, s.frames, two.median, few.median, all.median, rest.median, half.median);
  std::fflush(stdout);
}

// A whole block, whose convolution reads what it wrote itself before: its launches as a network has
// them.
void time_block(Shape s, const Device& device, int launches) {
  Tail tail(s, device);
  pm_block_tail_params params = tail.params;
  s.width = 2 * s.width, s.columns = static_cast<int>(params.scan.x_dbl_stride);
  Conv c(s);
  auto* xz = static_cast<__half*>(params.next.xz);
  CHECK(cudaMemset(xz, 0, tail.rows * 2 * s.width * sizeof(__half)));
  c.params.x = xz, c.params.x_stride = 2 * s.width;
  params.z = xz + s.width;
  params.scan.x = c.params.u, params.scan.x_dbl = c.params.x_dbl;
  const Time whole = time_of(launches, [&](cudaStream_t stream) {
    return pm_cuda_block(&c.params, &params, tail.work, stream);
  });
  CrossArgs args;
  const Time scan = time_of(launches, [&](cudaStream_t stream) {
    return launch_cross_scan(params.scan, nullptr, tail.work, device, stream, &args);
  });
  params.scan.half_sums = 1;
  void* work = c.memory.bytes(pm_cuda_cross_scan_workspace(&params.scan, nullptr));
  const Time half = time_of(launches, [&](cudaStream_t stream) {
    return pm_cuda_block(&c.params, &params, work, stream);
  });
  std::printf(
      "{\"kernel\": \"block\", \"d_inner\": %d, \"batch\": %d, \"frames\": %d, \"whole\": %.2f, "
      "\"scan\": %.2f, \"half_sums\": %.2f}\n",
      s.width, s.batch, s.frames, whole.median, scan.median, half.median);
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
  const Size sizes[] = {{1, 243}, {2, 243}, {3, 243},  {4, 243},  {5, 243},  {6, 243},
                        {8, 243}, {9, 243}, {12, 243}, {16, 243}, {24, 243}, {32, 243},
                        {32, 27}, {64, 27}, {1, 27},   {1, 81}};
  for (const int d_inner : {256, 128, 512}) {
    for (const Size size : sizes) {
      if (only_batch != 0 && only_batch != size.batch) continue;
      const int launches = size.batch * size.frames >= 7776 ? 10 : 30;
      Shape s{size.batch, size.frames, 17, d_inner / 2, 0, false, false, true, false};
      {
        const Tail c(s, device);
        Times times;
        const auto time = [&](const char* name, auto&& launch_design) {
          times.emplace_back(name, time_of(launches, [&](cudaStream_t stream) {
                               return launch_design(c.params, c.scan, device, stream);
                             }));
        };
        time("single", launch_tail_single);
        if (tail_has_warpgroups(c.params, device)) time("warpgroups", launch_tail_warpgroups);
        if (tail_has_clusters(c.params, device)) time("clusters", launch_tail_clusters);
        if (tail_can_persist(c.params, device)) {
          time("persistent", [&](const auto& params, const auto& scan, auto&&... to) {
            return launch_tail_persistent(params, scan, c.work, to...);
          });
        }
        s.width = d_inner;
        print_times("tail", s, 20.0 * d_inner * static_cast<double>(c.rows), bandwidth, times);
      }
      s.width = d_inner / 2;
      time_prepared(s, device, launches);
      time_block(s, device, launches);
      s.width = d_inner, s.columns = 4 * (d_inner / 32 + 32);
      const Conv c(s);
      Times times;
      const auto time = [&](const char* name, auto&& launch_design) {
        times.emplace_back(name, time_of(launches, [&](cudaStream_t stream) {
                             return launch_design(c.params, device, stream);
                           }));
      };
      time("single", launch_conv_proj_single);
      if (d_inner < 512 || conv_proj_can_part(c.params, device)) {
        time("persistent", launch_conv_batch);
      }
      print_times("conv_proj", s, (4.0 * d_inner + 2.0 * s.columns) * static_cast<double>(c.rows),
                  bandwidth, times);
    }
  }
  return 0;
}

}  // namespace
}  // namespace posemamba::bench

int main(int argc, char** argv) {
  using namespace posemamba::bench;
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "check") {
    const bool small = argc > 2 && std::string(argv[2]) == "small";
    return check(small, argc > 2 + small ? std::atoi(argv[2 + small]) : 0);
  }
  if (mode == "time") return time_all(argc > 2 ? std::atoi(argv[2]) : 0);
  if (mode == "plan" && argc == 5) return plan(argv + 2);
  std::fprintf(stderr,
               "usage: posemamba_block_bench check [small] [d_model] | time [batch] | plan %s\n",
               kPlanArguments);
  return 2;
}
