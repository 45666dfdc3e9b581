// Opens a model in a back end, lifts three clips against the stand-in network, and prints one JSON
// object: the code and sentence of what failed first, the info, and the largest difference.
//
//   drive MODEL BACKEND [runtime_library=F] [op_library=F] [cuda_graph=1] [device=N]
//         [tf32=1] [allow_fallback=1] [stop=open]
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

int print(pm_result code, const char* info, double difference) {
  std::string sentence = "\"";
  for (const char* c = code == PM_SUCCESS ? "" : pm_last_error(); *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\') sentence += '\\';
    sentence += *c;
  }
  std::printf("{\"code\": %d, \"sentence\": %s\", \"info\": %s, \"difference\": %g}\n", code,
              sentence.c_str(), info == nullptr ? "null" : info, difference);
  return 0;
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
  const pm_result opened = pm_lifter_open(words[1], &options, &lifter);
  if (opened != PM_SUCCESS) return print(opened, nullptr, 0.0);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  double difference = 0.0;
  // A size, the same again (a graph is captured and replayed), a smaller one, a larger batch.
  const int64_t sizes[][2] = {{1, 27}, {1, 27}, {1, 27}, {2, 5}, {7, 27}, {1, 27}};
  for (const auto& [batch, frames] : sizes) {
    std::vector<float> input(static_cast<size_t>(batch * frames * 34));
    std::generate(input.begin(), input.end(), [&] { return uniform(random); });
    std::vector<float> output(static_cast<size_t>(batch * frames * 51));
    std::vector<float> expected(output.size());
    stand_in::lift(input.data(), batch, frames, expected.data());
    const pm_result code = pm_lifter_lift(lifter, input.data(), batch, frames, output.data());
    if (code != PM_SUCCESS) return print(code, pm_lifter_info(lifter), difference);
    for (size_t i = 0; i < output.size(); ++i) {
      difference = std::max(difference, static_cast<double>(std::abs(output[i] - expected[i])));
    }
  }
  print(PM_SUCCESS, pm_lifter_info(lifter), difference);
  pm_lifter_close(lifter);
  return 0;
}
