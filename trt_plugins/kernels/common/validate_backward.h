// Parameter checks of the gradients, shared by every back end.
#pragma once

#include "posemamba/scan_backward.h"

namespace posemamba {

// As validate_layout of the forward pass's parameters, and those that the gradient adds.
pm_status validate_layout(const pm_cross_scan_backward_params* params);
pm_status validate_layout(const pm_scan_backward_params* params);

// The layout, and every required pointer.
pm_status validate(const pm_cross_scan_backward_params* params);
pm_status validate(const pm_scan_backward_params* params);

}  // namespace posemamba
