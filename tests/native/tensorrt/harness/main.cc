// Plays TensorRT's builder and runtime to the plugins, with no TensorRT present.
//   conformance PLUGIN_LIBRARY CUDA_LIBRARY [CASE...]   (default: every case but gpu_*; "gpu":
//   those)
// Exit code 0 if every expectation holds, 1 if not, 2 for a wrong call.
#include <cstdio>
#include <cstring>

#include "check.h"
#include "runtime.h"

namespace {

bool is_gpu(const char* name) { return std::strncmp(name, "gpu_", 4) == 0; }

bool asked(const char* name, int argc, char** argv) {
  if (argc == 3) return !is_gpu(name);
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return true;
    if (std::strcmp(argv[i], "gpu") == 0 && is_gpu(name)) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::printf("usage: conformance PLUGIN_LIBRARY CUDA_LIBRARY [CASE...]\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  harness::plugin_path = argv[1];
  harness::cuda_path = argv[2];
  int ran = 0;
  for (const check::Case& one : check::cases()) {
    if (!asked(one.name, argc, argv)) continue;
    const int before = check::failures();
    harness::pretend(harness::kUsualRelease);
    harness::take_log();
    one.run();
    ++ran;
    std::printf("%s: %s\n", one.name, check::failures() == before ? "ok" : "FAILED");
  }
  if (ran == 0) {
    std::printf("no case of that name\n");
    return 2;
  }
  return check::failures() == 0 ? 0 : 1;
}
