// Named cases and expectations; main.cc runs one or all.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline bool expect(bool good, const char* file, int line, const char* what,
                   const std::string& detail) {
  if (!good) {
    std::printf("%s:%d: not so: %s%s%s\n", file, line, what, detail.empty() ? "" : "; ",
                detail.c_str());
    ++failures();
  }
  return good;
}

}  // namespace check

#define CASE(name)                                       \
  static void name();                                    \
  static const check::Register name##_case(#name, name); \
  static void name()
// EXPECT goes on after a failure, REQUIRE leaves the function. The second argument explains.
#define EXPECT(condition, detail) \
  check::expect(static_cast<bool>(condition), __FILE__, __LINE__, #condition, detail)
#define REQUIRE(condition, detail)          \
  do {                                      \
    if (!EXPECT(condition, detail)) return; \
  } while (false)
