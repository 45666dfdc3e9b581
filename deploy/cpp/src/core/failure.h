// How a mistake travels inside the library: thrown, and turned into a code and a sentence at the C
// interface. Nothing of it crosses that border.
#pragma once

#include <cstdarg>
#include <exception>
#include <string>

#include "posemamba/runtime/lifter.h"

namespace posemamba::runtime {

class Failure : public std::exception {
 public:
  Failure(pm_result result, std::string text) : code(result), sentence(std::move(text)) {}
  const char* what() const noexcept override { return sentence.c_str(); }

  pm_result code;
  std::string sentence;
};

// Throws a Failure with a sentence as of printf.
[[noreturn]] void fail(pm_result code, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

// A string as of printf.
std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));

// What a library said, as a part of a sentence: one line, at most 300 bytes.
std::string one_line(const char* message);

// Remembers a sentence for pm_last_error() and returns its code. Allocates nothing.
pm_result report(pm_result code, const char* format, ...) noexcept
    __attribute__((format(printf, 2, 3)));
const char* last_error() noexcept;

// Runs the body of a function of the C interface; what it throws becomes a code and a sentence.
template <class Body>
pm_result guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const Failure& failure) {
    return report(failure.code, "%s", failure.sentence.c_str());
  } catch (const std::bad_alloc&) {
    return report(PM_NO_MEMORY, "memory ran out: close streams, or lift shorter recordings");
  } catch (const std::exception& other) {
    return report(PM_BACKEND_FAILED, "unexpected: %s", other.what());
  } catch (...) {
    return report(PM_BACKEND_FAILED, "unexpected exception of an unknown kind");
  }
}

}  // namespace posemamba::runtime
