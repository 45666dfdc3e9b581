// Model files: what kind they are, and engines read whole.
#pragma once

#include <string>
#include <vector>

namespace posemamba::runtime {

enum class FileKind { kOnnx, kEngine };

// The first four bytes of a plan of TensorRT, and of TensorRT-RTX.
constexpr const char* kPlanStart = "ftrt";
constexpr const char* kRtxPlanStart = "vtrt";

// Looks at the first bytes. Throws a Failure for what is no model at all: nothing there, a folder,
// an empty file, a Git LFS pointer, a web page, a checkpoint.
FileKind file_kind(const std::string& path);

// The whole file. Throws Failure(PM_MISSING or PM_BAD_MODEL).
std::vector<char> read_file(const std::string& path);

// The first four bytes, fewer where there are no more. Throws as read_file.
std::string file_start(const std::string& path);

bool file_exists(const std::string& path);

// What tells one file from another of the same path, or that it was written since; empty if it is
// not there.
std::string file_identity(const std::string& path);

// SHA-256 (FIPS 180-4) in hexadecimal.
std::string sha256(const void* data, size_t bytes);

}  // namespace posemamba::runtime
