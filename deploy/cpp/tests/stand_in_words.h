// How the tests tell a stand-in library what to play: words "key=value" in an environment variable,
// separated by ';'.
#pragma once

#include <cstdlib>
#include <cstring>

namespace stand_in {

// What follows "key=" up to the end of the variable, or null.
inline const char* find_word(const char* variable, const char* key) {
  const char* words = std::getenv(variable);
  const std::size_t length = std::strlen(key);
  while (words != nullptr) {
    if (std::strncmp(words, key, length) == 0 && words[length] == '=') return words + length + 1;
    words = std::strchr(words, ';');
    if (words != nullptr) ++words;
  }
  return nullptr;
}

}  // namespace stand_in
