#include "backends/ort_library.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr const char* kFix =
    "install it (pip install onnxruntime), set POSEMAMBA_LIBRARY_PATH to the folder of its "
    "libonnxruntime.so, or name the file with runtime_library";

// A message without the place in ONNX Runtime's own sources and the function there. They may be so
// long that what is wrong would no longer fit the line, as of a new IR version:
// "/its/model.cc:256 onnxruntime::Model::Model(types, types) Unsupported model IR version".
std::string without_place(const std::string& message) {
  const size_t file = std::min(message.find(".cc:"), message.find(".h:"));
  const size_t space = message.find(' ', file);
  if (file == std::string::npos || space == std::string::npos) return message;
  const size_t begin = message.find_last_of(" \n:", file) + 1;  // npos + 1: it begins the message
  size_t end = message.find(' ', space + 1);
  const size_t open = message.find('(', space);
  if (open != std::string::npos && message.find("::", space) < open) {  // a signature, not a name
    int depth = 0;
    for (end = open; end < message.size(); ++end) {
      depth += message[end] == '(' ? 1 : message[end] == ')' ? -1 : 0;
      if (depth == 0) break;
    }
    end = message.find(' ', end);
  }
  return end == std::string::npos ? message : message.substr(0, begin) + message.substr(end + 1);
}

}  // namespace

OrtLibrary::OrtLibrary(const char* given)
    : library_(Library::search(given, "libonnxruntime.so",
                               {"libonnxruntime.so.1", "libonnxruntime.so"},
                               "ONNX Runtime (libonnxruntime.so)", kFix)) {
  using GetApiBase = const ort::ApiBase* (*)();
  const ort::ApiBase* base = library_.symbol<GetApiBase>("OrtGetApiBase")();
  version_ = base->GetVersionString();
  // Asked first, for GetApi writes to stderr where it does not know the version.
  int major = 0;
  int minor = 0;
  const bool known = std::sscanf(version_.c_str(), "%d.%d", &major, &minor) == 2;
  const bool recent = known && (major > 1 || minor >= static_cast<int>(ort::kRuntimeApiVersion));
  api_ = recent ? base->GetApi(ort::kRuntimeApiVersion) : nullptr;
  if (api_ == nullptr) {
    fail(PM_MISMATCH, "'%s' is ONNX Runtime %s, 1.%u or later is needed: install a later one",
         path().c_str(), version_.c_str(), ort::kRuntimeApiVersion);
  }
}

bool OrtLibrary::has_provider(const char* name) const {
  char** names = nullptr;
  int count = 0;
  check(ort::GetAvailableProviders(api_, &names, &count), PM_BACKEND_FAILED,
        "ONNX Runtime does not list its providers", "install it again");
  bool found = false;
  for (int i = 0; i < count; ++i) found = found || std::strcmp(names[i], name) == 0;
  check(ort::ReleaseAvailableProviders(api_, names, count), PM_BACKEND_FAILED,
        "ONNX Runtime does not list its providers", "install it again");
  return found;
}

void OrtLibrary::check(ort::Status* status, pm_result code, const std::string& subject,
                       const char* fix) const {
  if (status == nullptr) return;
  const std::string message = take_message(status, nullptr);
  fail(code, "%s (ONNX Runtime %s: %s): %s", subject.c_str(), version_.c_str(), message.c_str(),
       fix);
}

std::string OrtLibrary::take_message(ort::Status* status, int* code) const {
  if (code != nullptr) *code = ort::GetErrorCode(api_, status);
  std::string message = one_line(without_place(ort::GetErrorMessage(api_, status)).c_str());
  ort::ReleaseStatus(api_, status);
  return message;
}

}  // namespace posemamba::runtime
