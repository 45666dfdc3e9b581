// Memory that a kernel fills with ones beside its own work, for the next launch.
#pragma once

#include <cstdint>

namespace posemamba::cuda {

struct Clear {
  void* memory;   // on 16 bytes
  int64_t words;  // of 16 bytes; 0: nothing
};

}  // namespace posemamba::cuda
