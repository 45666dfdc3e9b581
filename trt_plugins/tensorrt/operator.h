// What the two operators' adapters share. An adapter is a class of static members:
//   kName, kInputs, kRequired   the ONNX operator and its inputs; from kRequired on optional
//   kAttributes                 its attributes, without values
//   Params                      the launcher's parameters
//   check(attributes, reason)   whether the attributes agree with each other
//   Shape(...)                  everything of Params but pointers and dtype, or the reason why not
//   Point(...)                  the pointers
//   kWorkspace, kWorkspaceLimit, kLaunch   the launcher
#pragma once

#include <initializer_list>

#include "attributes.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::trt {

struct Input {
  const char* name;
  bool activation;  // float32 or float16, as the first input; others are always float32
  int32_t rank;
};

// The dimensions of a node's inputs; those beyond `count` are absent.
struct Shapes {
  const nvinfer1::Dims* dims;
  int32_t count;
  const nvinfer1::Dims& operator[](int32_t input) const { return dims[input]; }
  bool has(int32_t input) const { return input < count; }
};

// Whether an input has exactly these dimensions.
bool match(const Input& input, const nvinfer1::Dims& dims, std::initializer_list<int64_t> wanted,
           Reason* reason);

// Whether a size that params hold as int32 is in 1 to `most`.
bool in_limit(const char* what, int64_t value, int64_t most, Reason* reason);

// An attribute with one value a direction or group, of which there are `count`; absent ones are 0.
bool copy_list(const Attribute& attribute, int64_t count, const char* of_what, int32_t* values,
               Reason* reason);

}  // namespace posemamba::trt
