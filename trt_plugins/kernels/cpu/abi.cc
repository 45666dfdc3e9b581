#include "common/abi.h"

#include "posemamba/scan.h"

extern "C" size_t pm_struct_size(const char* name) { return posemamba::struct_size(name); }
