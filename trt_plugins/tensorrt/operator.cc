#include "operator.h"

#include <algorithm>
#include <cstdio>

namespace posemamba::trt {
namespace {

// "[2, 243, 17, 128]"; cut short where it does not fit.
template <class Iterator>
void print(Iterator first, Iterator last, char* text, size_t size) {
  size_t used = static_cast<size_t>(std::snprintf(text, size, "["));
  for (Iterator d = first; d != last && used < size; ++d) {
    used += static_cast<size_t>(std::snprintf(text + used, size - used, "%s%lld",
                                              d == first ? "" : ", ", static_cast<long long>(*d)));
  }
  if (used < size) std::snprintf(text + used, size - used, "]");
}

}  // namespace

bool match(const Input& input, const nvinfer1::Dims& dims, std::initializer_list<int64_t> wanted,
           Reason* reason) {
  if (std::equal(dims.d, dims.d + dims.nbDims, wanted.begin(), wanted.end())) return true;
  char found[96];
  char asked[96];
  print(dims.d, dims.d + dims.nbDims, found, sizeof found);
  print(wanted.begin(), wanted.end(), asked, sizeof asked);
  return reason->refuse("input '%s' is %s, it must be %s", input.name, found, asked);
}

bool match_output(int32_t index, const nvinfer1::Dims& dims, const nvinfer1::Dims& wanted,
                  Reason* reason) {
  if (std::equal(dims.d, dims.d + dims.nbDims, wanted.d, wanted.d + wanted.nbDims)) return true;
  char found[96];
  char asked[96];
  print(dims.d, dims.d + dims.nbDims, found, sizeof found);
  print(wanted.d, wanted.d + wanted.nbDims, asked, sizeof asked);
  return reason->refuse("output %d's shape is %s, it must be %s", index, found, asked);
}

nvinfer1::Dims dims_of(const Output& output, const Shapes& inputs) {
  nvinfer1::Dims dims{};
  dims.nbDims = output.rank;
  for (int32_t axis = 0; axis < output.rank; ++axis) {
    const SizeOf& size = output.dims[axis];
    dims.d[axis] = size.times * (size.input == kFixed ? 1 : inputs[size.input].d[size.axis]);
  }
  return dims;
}

bool in_limit(const char* what, int64_t value, int64_t most, Reason* reason) {
  if (value >= 1 && value <= most) return true;
  return reason->refuse("%s is %lld, it must be 1 to %lld", what, static_cast<long long>(value),
                        static_cast<long long>(most));
}

bool in_multiples(const char* what, int64_t value, int64_t of, Reason* reason) {
  if (value % of == 0) return true;
  return reason->refuse("%s is %lld, it must be a multiple of %lld", what,
                        static_cast<long long>(value), static_cast<long long>(of));
}

bool copy_list(const Attribute& attribute, int64_t count, const char* of_what, int32_t* values,
               Reason* reason) {
  if (attribute.count != 0 && attribute.count != count) {
    return reason->refuse("attribute '%s' has %d values for %lld %s", attribute.name,
                          attribute.count, static_cast<long long>(count), of_what);
  }
  std::copy_n(attribute.values, attribute.count, values);
  return true;
}

}  // namespace posemamba::trt
