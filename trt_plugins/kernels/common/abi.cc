#include "common/abi.h"

#include <cstring>

#include "posemamba/block.h"
#include "posemamba/scan_backward.h"
#include "posemamba/scan_cpu.h"

namespace posemamba {
namespace {

constexpr StructSize kSizes[] = {
    {"pm_cross_scan_params", sizeof(pm_cross_scan_params)},
    {"pm_scan_params", sizeof(pm_scan_params)},
    {"pm_indexed_scan_params", sizeof(pm_indexed_scan_params)},
    {"pm_stateful_scan_params", sizeof(pm_stateful_scan_params)},
    {"pm_cross_scan_backward_params", sizeof(pm_cross_scan_backward_params)},
    {"pm_scan_backward_params", sizeof(pm_scan_backward_params)},
    {"pm_parallel", sizeof(pm_parallel)},
    {"pm_conv_silu_params", sizeof(pm_conv_silu_params)},
    {"pm_gated_norm_params", sizeof(pm_gated_norm_params)},
    {"pm_add_norm_params", sizeof(pm_add_norm_params)},
};

}  // namespace

std::size_t find_size(const StructSize* table, std::size_t count, const char* name) {
  for (std::size_t i = 0; name != nullptr && i < count; ++i) {
    if (std::strcmp(table[i].name, name) == 0) return table[i].bytes;
  }
  return 0;
}

std::size_t struct_size(const char* name) {
  return find_size(kSizes, sizeof kSizes / sizeof kSizes[0], name);
}

}  // namespace posemamba

extern "C" int32_t pm_abi_version(void) { return PM_ABI_VERSION; }
