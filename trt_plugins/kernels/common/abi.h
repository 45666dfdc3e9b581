// The sizes of the API's structs, for callers that mirror them, such as ctypes.
#pragma once

#include <cstddef>

namespace posemamba {

// Size of a struct of scan.h, scan_cpu.h or block.h by its name; 0 for a name not among them.
std::size_t struct_size(const char* name);

// One row of such a table.
struct StructSize {
  const char* name;
  std::size_t bytes;
};

std::size_t find_size(const StructSize* table, std::size_t count, const char* name);

}  // namespace posemamba
