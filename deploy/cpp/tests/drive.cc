// Opens a model in a back end, lifts three clips against the stand-in network, closes it, and
// prints one JSON object: the code and sentence of what failed first, the info, the largest
// difference, and how much of CUDA and TensorRT their stand-ins say is still held.
//
//   drive MODEL BACKEND [runtime_library=F] [op_library=F] [cuda_graph=1] [device=N]
//         [tf32=1] [allow_fallback=1]
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "posemamba/runtime/lifter.h"
#include "stand_in_network.h"

namespace {

const char* option(int count, char** words, const char* key, const char* otherwise) {
  const size_t length = std::strlen(key);
  for (int i = 3; i < count; ++i) {
    if (std::strncmp(words[i], key, length) == 0 && words[i][length] == '=') {
      return words[i] + length + 1;
    }
  }
  return otherwise;
}

struct Outcome {
  pm_result code = PM_SUCCESS;
  std::string sentence;
  std::string info = "null";
  double difference = 0.0;
};

// Keeps what is said of a call: closing the model says something else.
bool failed(pm_result code, Outcome* outcome) {
  outcome->code = code;
  if (code != PM_SUCCESS) outcome->sentence = pm_last_error();
  return code != PM_SUCCESS;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + '"';
}

// Of a stand-in; 0 where the library is not loaded, or a real one.
int held_of(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  void* count = handle == nullptr ? nullptr : dlsym(handle, "stand_in_held");
  return count == nullptr ? 0 : reinterpret_cast<int (*)()>(count)();
}

void lift_all(pm_lifter* lifter, Outcome* outcome) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  // A size, the same again (a graph is captured and replayed), a smaller one, a larger batch.
  const int64_t sizes[][2] = {{1, 27}, {1, 27}, {1, 27}, {2, 5}, {7, 27}, {1, 27}};
  for (const auto& [batch, frames] : sizes) {
    std::vector<float> input(static_cast<size_t>(batch * frames * 34));
    std::generate(input.begin(), input.end(), [&] { return uniform(random); });
    std::vector<float> output(static_cast<size_t>(batch * frames * 51));
    std::vector<float> expected(output.size());
    stand_in::lift(input.data(), batch, frames, expected.data());
    if (failed(pm_lifter_lift(lifter, input.data(), batch, frames, output.data()), outcome)) return;
    for (size_t i = 0; i < output.size(); ++i) {
      outcome->difference =
          std::max(outcome->difference, static_cast<double>(std::abs(output[i] - expected[i])));
    }
  }
}

}  // namespace

int main(int count, char** words) {
  pm_lifter_options options;
  pm_lifter_default_options(&options);
  options.backend = words[2];
  options.runtime_library = option(count, words, "runtime_library", nullptr);
  options.op_library = option(count, words, "op_library", nullptr);
  options.device = std::atoi(option(count, words, "device", "0"));
  options.cuda_graph = std::atoi(option(count, words, "cuda_graph", "0"));
  options.tf32 = std::atoi(option(count, words, "tf32", "0"));
  options.allow_fallback = std::atoi(option(count, words, "allow_fallback", "0"));
  pm_lifter* lifter = nullptr;
  Outcome outcome;
  if (!failed(pm_lifter_open(words[1], &options, &lifter), &outcome)) {
    lift_all(lifter, &outcome);
    outcome.info = pm_lifter_info(lifter);
    pm_lifter_close(lifter);
  }
  std::printf("{\"code\": %d, \"sentence\": %s, \"info\": %s, \"difference\": %g, \"held\": %d}\n",
              outcome.code, quoted(outcome.sentence).c_str(), outcome.info.c_str(),
              outcome.difference, held_of("libcuda.so.1") + held_of("libnvinfer.so.10"));
  return 0;
}
