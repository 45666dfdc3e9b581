// What the operators' adapters share. An adapter, one for each operator and version, is a class of
// static members:
//   kName, kVersion             the ONNX operator and the plugin_version of its nodes
//   kInputs, kRequired          its inputs; from kRequired on optional
//   kOutputCount                outputs; the first is like the first input, any other float32
//   kAttributes                 its attributes, without values
//   Params                      the launcher's parameters
//   check(attributes, reason)   whether the attributes agree with each other
//   Shape(...)                  everything of Params but pointers and dtype, or the reason why not
//   Point(...)                  the pointers
//   dtype(params)               where Params holds the type of the activations
//   kFurtherRank, kFurtherDims  the sizes of outputs after the first, as sizes of inputs
//   kWorkspace, kWorkspaceLimit, kLaunch   the launcher
#pragma once

#include <initializer_list>

#include "attributes.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::trt {

enum class Type : int32_t {
  kActivation,  // float32 or float16, as the first input
  kFloat,       // float32 whatever the activations are
  kInteger      // int32
};

struct Input {
  const char* name;
  Type type;
  int32_t rank;
};

// A size of an input, such as that of its axis 0.
struct SizeOf {
  int32_t input;
  int32_t axis;
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
