#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr int kDeepest = 32;

class Reader {
 public:
  Reader(std::string_view source, const char* label) : source_(source), label_(label) {}

  Json document() {
    Json result = value(0);
    skip_space();
    if (place_ != source_.size()) wrong("something after the end");
    return result;
  }

 private:
  [[noreturn]] void wrong(const char* what) const {
    fail(PM_BAD_MODEL, "%s is not JSON (%s at byte %zu): make or copy it again", label_, what,
         place_);
  }

  void skip_space() {
    while (place_ < source_.size() && std::strchr(" \t\r\n", source_[place_]) != nullptr &&
           source_[place_] != '\0') {
      ++place_;
    }
  }

  char peek() {
    skip_space();
    if (place_ == source_.size()) wrong("unexpected end");
    return source_[place_];
  }

  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++place_;
    return true;
  }

  void literal(std::string_view word) {
    if (source_.substr(place_, word.size()) != word) wrong("unknown word");
    place_ += word.size();
  }

  Json value(int depth) {
    if (depth > kDeepest) wrong("nested too deeply");
    Json result;
    switch (peek()) {
      case '{':
        object(result, depth);
        break;
      case '[':
        array(result, depth);
        break;
      case '"':
        result.kind = Json::Kind::kString;
        result.string = string();
        break;
      case 't':
        literal("true");
        result.kind = Json::Kind::kBool;
        result.truth = true;
        break;
      case 'f':
        literal("false");
        result.kind = Json::Kind::kBool;
        break;
      case 'n':
        literal("null");
        break;
      default:
        number(result);
    }
    return result;
  }

  void object(Json& result, int depth) {
    result.kind = Json::Kind::kObject;
    ++place_;
    if (take('}')) return;
    std::set<std::string> names;  // of two values other readers would take the other one
    do {
      if (peek() != '"') wrong("expected a name");
      std::string name = string();
      if (!names.insert(name).second) wrong("a name for the second time");
      if (!take(':')) wrong("expected a colon");
      result.members.emplace_back(std::move(name), value(depth + 1));
    } while (take(','));
    if (!take('}')) wrong("expected a closing brace");
  }

  void array(Json& result, int depth) {
    result.kind = Json::Kind::kArray;
    ++place_;
    if (take(']')) return;
    do {
      result.items.push_back(value(depth + 1));
    } while (take(','));
    if (!take(']')) wrong("expected a closing bracket");
  }

  // By from_chars, which knows no locale: elsewhere 1.5 may be written 1,5.
  void number(Json& result) {
    result.kind = Json::Kind::kNumber;
    const char* begin = source_.data() + place_;
    const auto [end, error] =
        std::from_chars(begin, source_.data() + source_.size(), result.number);
    const bool digit = *begin == '-' || (*begin >= '0' && *begin <= '9');  // not "inf" nor "nan"
    if (error != std::errc() || !digit) wrong("no value");
    place_ += static_cast<size_t>(end - begin);
  }

  unsigned hex4() {
    if (source_.size() - place_ < 4) wrong("unexpected end");
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = source_[place_++];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) wrong("bad escape");
      code = code * 16 + static_cast<unsigned>(digit);
    }
    return code;
  }

  static void append_utf8(std::string& out, unsigned code) {
    const auto byte = [&](unsigned value) { out += static_cast<char>(value); };
    if (code < 0x80) {
      byte(code);
    } else if (code < 0x800) {
      byte(0xC0 | code >> 6), byte(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 0x3F)), byte(0x80 | (code & 0x3F));
    } else {
      byte(0xF0 | code >> 18), byte(0x80 | (code >> 12 & 0x3F));
      byte(0x80 | (code >> 6 & 0x3F)), byte(0x80 | (code & 0x3F));
    }
  }

  void escape(std::string& out) {
    if (place_ == source_.size()) wrong("unexpected end");
    const char c = source_[place_++];
    constexpr const char* kFrom = "\"\\/bfnrt";
    constexpr const char* kTo = "\"\\/\b\f\n\r\t";
    const char* found = c == '\0' ? nullptr : std::strchr(kFrom, c);
    if (found != nullptr) {
      out += kTo[found - kFrom];
    } else if (c == 'u') {
      unsigned code = hex4();
      const bool pair = code >= 0xD800 && code < 0xDC00 && source_.substr(place_, 2) == "\\u";
      if (pair) {
        place_ += 2;
        code = 0x10000 + ((code - 0xD800) << 10) + ((hex4() - 0xDC00) & 0x3FF);
      }
      append_utf8(out, code);
    } else {
      wrong("bad escape");
    }
  }

  std::string string() {
    std::string result;
    ++place_;
    for (;;) {
      if (place_ == source_.size()) wrong("string without an end");
      const char c = source_[place_++];
      if (c == '"') return result;
      if (c == '\\') {
        escape(result);
      } else {
        result += c;
      }
    }
  }

  std::string_view source_;
  const char* label_;
  size_t place_ = 0;
};

// Bytes of the UTF-8 character that a text begins with; 0: it begins with none.
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned lead = byte(0);
  const size_t bytes = lead < 0x80                   ? 1
                       : lead >= 0xC2 && lead < 0xE0 ? 2
                       : lead >= 0xE0 && lead < 0xF0 ? 3
                       : lead >= 0xF0 && lead < 0xF5 ? 4
                                                     : 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // No longer forms than needed, no halves of UTF-16 pairs, nothing past U+10FFFF.
  const bool none = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                    (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F);
  return none ? 0 : bytes;
}

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Json* Json::find(std::initializer_list<std::string_view> path) const {
  const Json* place = this;
  for (const std::string_view key : path) {
    place = place->find(key);
    if (place == nullptr) return nullptr;
  }
  return place;
}

long long Json::whole(long long low, long long high, long long otherwise) const {
  const bool fits = kind == Kind::kNumber && number >= static_cast<double>(low) &&
                    number <= static_cast<double>(high) && number == std::floor(number);
  return fits ? static_cast<long long>(number) : otherwise;
}

const std::string& Json::text() const {
  static const std::string nothing;
  return kind == Kind::kString ? string : nothing;
}

Json parse_json(std::string_view source, const char* label) {
  return Reader(source, label).document();
}

std::string quoted(std::string_view value) {
  std::string result = "\"";
  while (!value.empty()) {
    const size_t bytes = character_bytes(value);
    const char c = value.front();
    if (bytes == 0) {
      result += "\\ufffd";  // U+FFFD, the replacement character
    } else if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += text("\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      result += value.substr(0, bytes);
    }
    value.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return result + '"';
}

}  // namespace posemamba::runtime
