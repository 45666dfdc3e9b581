// The TensorRT that loaded this library: which release it is, and its log.
#pragma once

#include <cstdint>

namespace posemamba::trt {

// A release of TensorRT, or of TensorRT-RTX, which counts from 1. Unknown: major is 0.
struct Release {
  int32_t major = 0;
  int32_t minor = 0;
  bool known() const { return major > 0; }
  bool rtx() const { return known() && major < 8; }
  bool supported() const { return rtx() ? major == 1 : major == 11 || (major == 10 && minor >= 3); }
  bool future() const { return rtx() ? major > 1 : major > 11; }
};

// Remembers the runtime that holds `caller`, the address of code that called into this library. A
// process may load two (TensorRT and TensorRT-RTX); messages go to the latest.
void adopt_runtime(const void* caller);
void adopt_finder(void* finder);  // its ILoggerFinder, or null

// Whether that runtime is one these plugins are made for. An unknown one is taken at its word. If
// not, one sentence in the log says which it is and what to do.
bool runtime_is_supported();

// One line in the runtime's log, "posemamba: ..."; errors go to stderr where no log can be found.
[[gnu::format(printf, 1, 2)]] void log_error(const char* format, ...);
[[gnu::format(printf, 1, 2)]] void log_verbose(const char* format, ...);

}  // namespace posemamba::trt
