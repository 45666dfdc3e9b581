// Parameter checks shared by every back end (CPU, CUDA): no allocation, no exceptions.
#pragma once

#include "posemamba/scan.h"
#include "posemamba/scan_v2.h"

namespace posemamba {

// Sizes, strides, order codes, limb indices and dtype; pointers are not looked at, so a host can
// ask for a workspace before its tensors exist. Limb indices count only where a limb_mask is set.
pm_status validate_layout(const pm_cross_scan_params* params);
pm_status validate_layout(const pm_scan_params* params);
pm_status validate_layout(const pm_indexed_scan_params* params);
pm_status validate_layout(const pm_stateful_scan_params* params);

// The layout, and every required pointer.
pm_status validate(const pm_cross_scan_params* params);
pm_status validate(const pm_scan_params* params);
pm_status validate(const pm_indexed_scan_params* params);
pm_status validate(const pm_stateful_scan_params* params);

// What the tables hold, where they are in the host's memory.
pm_status validate_tables(const pm_indexed_scan_params& params);

}  // namespace posemamba
