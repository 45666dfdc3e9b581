#include "cross_selective_scan.h"

#include <algorithm>

#include "cross_scan_inputs.h"

namespace posemamba::trt {

bool CrossSelectiveScan::check(const Attribute* attributes, Reason* reason) {
  const Attribute& order = attributes[kOrder];
  for (const AttributeIndex index : {kReverse, kLimbMask}) {
    const Attribute& other = attributes[index];
    if (order.count != 0 && other.count != 0 && other.count != order.count) {
      return reason->refuse("attributes 'order' and '%s' have %d and %d values, one a direction",
                            other.name, order.count, other.count);
    }
  }
  const Attribute& mask = attributes[kLimbMask];
  const bool any = std::any_of(mask.values, mask.values + mask.count, [](int32_t m) { return m; });
  if (any && attributes[kLimbIndex].count == 0) {
    return reason->refuse("attribute 'limb_index' is missing, and 'limb_mask' asks for limb sums");
  }
  return true;
}

bool CrossSelectiveScan::shape(const Attribute* attributes, const Shapes& inputs, Params* params,
                               Reason* reason) {
  params->half_sums = attributes[kHalfSums].value_or(0);
  if (params->half_sums != 0 && params->dtype != PM_FLOAT16) {
    return reason->refuse("attribute 'half_sums' is for float16 activations");
  }
  const int64_t joints = inputs[kX].d[2], directions = inputs[kA].d[0];
  if (!in_limit("joints", joints, PM_MAX_JOINTS, reason) ||
      !match_cross_inputs<CrossSelectiveScan>(attributes, inputs, directions, PM_MAX_STATE, params,
                                              reason) ||
      !copy_list(attributes[kOrder], directions, "directions", params->order, reason) ||
      !copy_list(attributes[kReverse], directions, "directions", params->reverse, reason) ||
      !copy_list(attributes[kLimbMask], directions, "directions", params->limb_mask, reason) ||
      !copy_list(attributes[kLimbIndex], joints, "joints", params->limb_index, reason)) {
    return false;
  }
  params->frames = inputs[kX].d[1];
  params->joints = static_cast<int32_t>(joints);
  return true;
}

void CrossSelectiveScan::point(const Attribute*, const void* const* inputs, int32_t,
                               void* const* outputs, Params* params) {
  point_cross_inputs<CrossSelectiveScan>(inputs, outputs[0], params);
}

}  // namespace posemamba::trt
