// A small reader of JSON: the sidecar of an engine and the metadata of a model. The input is a file
// from anywhere, so depth and size are bounded, and every way of being wrong is a Failure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace posemamba::runtime {

struct Json {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool truth = false;
  double number = 0.0;
  std::string string;
  std::vector<Json> items;                            // of an array
  std::vector<std::pair<std::string, Json>> members;  // of an object

  // Member of an object; null if there is none or this is no object.
  const Json* find(std::string_view key) const;
  // As find, along a path.
  const Json* find(std::initializer_list<std::string_view> path) const;

  // A whole number in [low, high], or `otherwise`.
  long long whole(long long low, long long high, long long otherwise) const;
  // The string, or "" if this is none.
  const std::string& text() const;
};

// Throws Failure(PM_BAD_MODEL) that begins with `label`.
Json parse_json(std::string_view source, const char* label);

// A JSON string, quotes included; a byte that is not UTF-8, as in a file's name, is U+FFFD.
std::string quoted(std::string_view value);

}  // namespace posemamba::runtime
