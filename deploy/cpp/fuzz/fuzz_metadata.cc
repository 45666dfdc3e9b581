// Bytes as a sidecar, as each entry of a model's metadata, and as a model's file: parsed or
// refused.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "core/failure.h"
#include "core/file.h"
#include "core/metadata.h"

using namespace posemamba::runtime;

namespace {

template <class Action>
void refused_or_done(Action&& action) {
  try {
    action();
  } catch (const Failure& failure) {
    if (failure.sentence.empty() || failure.code == PM_SUCCESS) __builtin_trap();
  }
}

// A file in memory, rewritten each time.
class Scratch {
 public:
  Scratch() : handle_(memfd_create("fuzz", 0)) {
    path_ = "/proc/self/fd/" + std::to_string(handle_);
  }
  const std::string& write(const unsigned char* data, size_t bytes) {
    if (ftruncate(handle_, 0) != 0 ||
        pwrite(handle_, data, bytes, 0) != static_cast<ssize_t>(bytes)) {
      __builtin_trap();
    }
    return path_;
  }

 private:
  int handle_;
  std::string path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t bytes) {
  const std::string text(reinterpret_cast<const char*>(data), bytes);
  refused_or_done([&] {
    ModelFacts facts;
    read_sidecar("fuzzed", text, facts);
  });
  refused_or_done([&] {
    const Json json = parse_json(text, "fuzzed");
    if (json.kind == Json::Kind::kString) {
      // What was read is written and read again as the same, once it is UTF-8.
      const std::string clean = parse_json(quoted(json.string), "again").string;
      if (parse_json(quoted(clean), "again").string != clean) __builtin_trap();
    }
  });
  for (const char* key : {"schema_version", "max_frames", "joint_names", "normalisation"}) {
    refused_or_done([&] {
      ModelFacts facts;
      const auto lookup = [&](const char* asked) {
        return std::string(asked) == std::string("posemamba.") + key ? text : std::string();
      };
      const int64_t frames = read_metadata("fuzzed", lookup, facts);
      if (frames < 0) __builtin_trap();
    });
  }
  static Scratch scratch;
  const std::string& path = scratch.write(data, bytes);
  refused_or_done([&] { file_kind(path); });
  refused_or_done([&] {
    if (read_file(path).size() != bytes) __builtin_trap();
  });
  return 0;
}
