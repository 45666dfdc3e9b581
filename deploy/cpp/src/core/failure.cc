#include "core/failure.h"

#include <cstdio>
#include <new>

namespace posemamba::runtime {
namespace {

// Plain memory: it outlives every destructor of the thread, and setting it allocates nothing.
constexpr int kSentenceBytes = 1024;
thread_local char last_sentence[kSentenceBytes] = "";

std::string vtext(const char* format, va_list arguments) {
  char buffer[2048];
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  return buffer;
}

}  // namespace

void fail(pm_result code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string sentence = vtext(format, arguments);
  va_end(arguments);
  throw Failure(code, std::move(sentence));
}

std::string text(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string result = vtext(format, arguments);
  va_end(arguments);
  return result;
}

std::string one_line(const char* message) {
  constexpr size_t kLongest = 300;
  std::string line;
  for (const char* c = message == nullptr ? "" : message; *c != '\0' && line.size() < kLongest;
       ++c) {
    const bool space = static_cast<unsigned char>(*c) <= ' ';
    if (space && (line.empty() || line.back() == ' ')) continue;
    line += space ? ' ' : *c;
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.')) line.pop_back();
  return line.empty() ? "no reason given" : line;
}

pm_result report(pm_result code, const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_sentence, sizeof last_sentence, format, arguments);
  va_end(arguments);
  return code;
}

const char* last_error() noexcept { return last_sentence; }

}  // namespace posemamba::runtime
