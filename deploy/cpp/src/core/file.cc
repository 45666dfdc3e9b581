#include "core/file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

// Field 1 of onnx.ModelProto, a number: the tag that protobuf writes before it.
constexpr char kIrVersionField = 0x08;

// The first bytes of files people pass by mistake, and what to do about each.
struct Mistake {
  const char* start;
  const char* what;
};
constexpr Mistake kMistakes[] = {
    {"version https://git-lfs", "a Git LFS pointer, not the file: run 'git lfs pull'"},
    {"<!DOCTYPE", "a web page: download the file itself"},
    {"<html", "a web page: download the file itself"},
    {"PK\x03\x04", "a zip archive, as a PyTorch checkpoint is: export it with 'pmexport onnx'"},
    {"\x80\x02", "a Python pickle, as a checkpoint may be: export it with 'pmexport onnx'"},
    {"{", "JSON, as the sidecar is: give the model or the engine"},
};

File open_file(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    fail(PM_MISSING, "'%s' cannot be read (%s): check the path", path.c_str(),
         std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    fail(PM_BAD_MODEL, "'%s' is a folder: give the model's file", path.c_str());
  }
  if (!S_ISREG(info.st_mode)) {
    fail(PM_BAD_MODEL, "'%s' is no regular file: give the model's file", path.c_str());
  }
  if (info.st_size == 0) {
    fail(PM_BAD_MODEL, "'%s' is empty: export or copy it again", path.c_str());
  }
  File file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    fail(PM_MISSING, "'%s' cannot be opened (%s): check its rights", path.c_str(),
         std::strerror(errno));
  }
  return file;
}

constexpr uint32_t rotated(uint32_t x, int bits) { return x >> bits | x << (32 - bits); }

// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRoots = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void digest_block(std::array<uint32_t, 8>& state, const unsigned char* block) {
  std::array<uint32_t, 64> w{};
  for (size_t i = 0; i < 16; ++i) {
    w[i] = static_cast<uint32_t>(block[4 * i]) << 24 |
           static_cast<uint32_t>(block[4 * i + 1]) << 16 |
           static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
  }
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15];
    const uint32_t b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) +
           (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                           ((e & f) ^ (~e & g)) + kRoots[i] + w[i];
    const uint32_t second =
        (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  const std::array<uint32_t, 8> added = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state[i] += added[i];
}

}  // namespace

FileKind file_kind(const std::string& path) {
  const File file = open_file(path);
  char start[32] = "";
  const size_t bytes = std::fread(start, 1, sizeof start, file.get());
  for (const Mistake& mistake : kMistakes) {
    const size_t length = std::strlen(mistake.start);
    if (bytes >= length && std::memcmp(start, mistake.start, length) == 0) {
      fail(PM_BAD_MODEL, "'%s' is %s", path.c_str(), mistake.what);
    }
  }
  const std::string_view begin(start, std::min<size_t>(bytes, 4));
  if (begin == kPlanStart || begin == kRtxPlanStart) return FileKind::kEngine;
  // A report may lie beside a model by that name too: ONNX begins with the version of its format.
  const bool onnx = bytes >= 2 && start[0] == kIrVersionField && start[1] > 0 && start[1] < 64;
  return !onnx && file_exists(path + ".json") ? FileKind::kEngine : FileKind::kOnnx;
}

std::vector<char> read_file(const std::string& path) {
  const File file = open_file(path);
  std::vector<char> data;
  char part[1 << 16];
  for (size_t bytes; (bytes = std::fread(part, 1, sizeof part, file.get())) > 0;) {
    data.insert(data.end(), part, part + bytes);
  }
  if (std::ferror(file.get()) != 0) {
    fail(PM_BAD_MODEL, "'%s' could not be read to its end: copy it again", path.c_str());
  }
  return data;
}

std::string file_start(const std::string& path) {
  const File file = open_file(path);
  char start[4] = "";
  return {start, std::fread(start, 1, sizeof start, file.get())};
}

bool file_exists(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::string file_identity(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return {};
  const auto part = [](auto value) { return std::to_string(value) + ' '; };
  return part(info.st_dev) + part(info.st_ino) + part(info.st_size) + part(info.st_mtim.tv_sec) +
         part(info.st_mtim.tv_nsec);
}

std::string sha256(const void* data, size_t bytes) {
  // First 32 bits of the fractional parts of the square roots of the first 8 primes.
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const auto* next = static_cast<const unsigned char*>(data);
  size_t left = bytes;
  for (; left >= 64; left -= 64, next += 64) digest_block(state, next);
  unsigned char tail[128] = {};
  if (left > 0) std::memcpy(tail, next, left);
  tail[left] = 0x80;
  const size_t tail_bytes = left < 56 ? 64 : 128;
  const uint64_t bits = static_cast<uint64_t>(bytes) * 8;
  for (size_t i = 0; i < 8; ++i) {
    tail[tail_bytes - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  }
  for (size_t done = 0; done < tail_bytes; done += 64) digest_block(state, tail + done);
  std::string hex;
  for (const uint32_t word : state) hex += text("%08x", word);
  return hex;
}

}  // namespace posemamba::runtime
