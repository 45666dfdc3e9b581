// A stream that runs for long: what it costs. 4 persons, as many pushes as asked for, a step and
// polls after each frame. Counts the heap allocations inside the library's calls, times them, and
// watches resident memory. Prints one JSON object.
//
//   steady PUSHES POLICY MISSING(0 or 1) [runtime_library]
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "posemamba/runtime/lifter.h"

namespace {
thread_local bool counting = false;
std::atomic<long> allocations{0};
}  // namespace

// glibc's own entry points; every malloc and new of the process comes through here.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* malloc(size_t bytes) {
  if (counting) ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  if (counting) ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  if (counting) ++allocations;
  return __libc_realloc(memory, bytes);
}
}

namespace {

constexpr int kPersons = 4;

double resident_mib() {
  long pages = 0;
  long resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1048576.0;
}

double percentile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

void check(pm_result code) {
  if (code == PM_SUCCESS) return;
  std::fprintf(stderr, "%d: %s\n", code, pm_last_error());
  std::exit(1);
}

using Clock = std::chrono::steady_clock;
double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) return 2;
  const long frames = std::atol(words[1]) / kPersons;
  const bool missing = std::atoi(words[3]) == 1;
  pm_lifter_options options;
  pm_lifter_default_options(&options);
  options.backend = "onnxruntime-cpu";
  options.runtime_library = count > 4 ? words[4] : nullptr;
  pm_lifter* lifter = nullptr;
  check(pm_lifter_open(words[0], &options, &lifter));
  pm_stream_options settings;
  pm_stream_default_options(&settings);
  settings.width = 1920;
  settings.height = 1080;
  settings.policy = words[2];
  settings.hop = std::strcmp(words[2], "blend") == 0 ? 9 : 1;
  settings.smoothing = 0.5F;
  settings.height_m = 1.8F;
  settings.rate = 60.0;
  pm_stream* stream = nullptr;
  check(pm_stream_open(lifter, &settings, &stream));

  const long warm = frames / 10;
  double resident = 0.0;
  long poses = 0;
  std::vector<double> push_us;
  std::vector<double> frame_us;
  push_us.resize(static_cast<size_t>(frames * kPersons), 1.0);  // touched: they are no growth
  frame_us.resize(static_cast<size_t>(frames), 1.0);
  float values[17][3];
  pm_pose pose{};
  for (long frame = 0; frame < frames; ++frame) {
    if (frame == warm) {
      resident = resident_mib();
      push_us.clear();
      frame_us.clear();
      allocations = 0;
    }
    double work = 0.0;
    for (int person = 0; person < kPersons; ++person) {
      for (int joint = 0; joint < 17; ++joint) {
        const double phase = 0.05 * static_cast<double>(frame) + joint + person;
        values[joint][0] = static_cast<float>(900.0 + 100.0 * std::sin(phase));
        values[joint][1] = static_cast<float>(500.0 + 100.0 * std::cos(phase));
        values[joint][2] = missing && (frame + joint) % 7 == 0 ? 0.0F : 0.9F;
      }
      const auto start = Clock::now();
      counting = true;
      check(pm_stream_push(stream, frame, NAN, person, values[0], 17, 3));
      counting = false;
      push_us.push_back(microseconds(start, Clock::now()));
      work += push_us.back();
    }
    const auto start = Clock::now();
    counting = true;
    check(pm_lifter_step(lifter, nullptr));
    while (pm_stream_poll(stream, &pose) == PM_SUCCESS) ++poses;
    counting = false;
    frame_us.push_back(work + microseconds(start, Clock::now()));
  }
  const double grown = resident_mib() - resident;
  std::printf(
      "{\"pushes\": %ld, \"poses\": %ld, \"allocations\": %ld, \"grown_mib\": %.3f, "
      "\"push_p50_us\": %.2f, \"push_p99_us\": %.2f, \"frame_p50_us\": %.2f, \"frame_p99_us\": "
      "%.2f}\n",
      frames * kPersons, poses, allocations.load(), grown, percentile(push_us, 0.5),
      percentile(push_us, 0.99), percentile(frame_us, 0.5), percentile(frame_us, 0.99));
  pm_stream_close(stream);
  pm_lifter_close(lifter);
  return 0;
}
