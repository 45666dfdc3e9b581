// What the operators' adapters share. An adapter, one for each operator and version, is a class of
// static members:
//   kName, kVersion    the ONNX operator and the plugin_version of its nodes
//   kInputs, kRequired its inputs; from kRequired on optional
//   kOutputs           its outputs; their sizes follow from those of the inputs
//   kAttributes        its attributes, without values
//   Params             the launcher's parameters
//   check(attributes, reason)   whether the attributes agree with each other
//   shape(...)         everything of Params but pointers and dtype, which is there already, or the
//                      reason why not
//   point(...)         the pointers
//   dtype(params)      where Params holds the type of the activations; only with an input of that
//   Launcher           TunedLauncher, PlainLauncher, or what has their members
#pragma once

#include <array>
#include <initializer_list>
#include <utility>

#include "attributes.h"
#include "posemamba/scan_cuda.h"

namespace posemamba::trt {

enum class Type : int32_t {
  kActivation,  // float32 or float16, one of them for all activations of a node
  kFloat,       // float32 whatever the activations are
  kHalf,        // float16 alone
  kInteger      // int32
};

struct Input {
  const char* name;
  Type type;
  int32_t rank;
};

// A table of inputs or attributes, and what another operator has beside them.
template <class Row, std::size_t N, std::size_t M>
constexpr std::array<Row, N + M> joined(const Row (&first)[N], const Row (&more)[M]) {
  std::array<Row, N + M> all{};
  for (std::size_t i = 0; i < N; ++i) all[i] = first[i];
  for (std::size_t i = 0; i < M; ++i) all[N + i] = more[i];
  return all;
}
template <class Row, std::size_t N, std::size_t M>
constexpr std::array<Row, N + M> joined(const std::array<Row, N>& first, const Row (&more)[M]) {
  std::array<Row, N + M> all{};
  for (std::size_t i = 0; i < N; ++i) all[i] = first[i];
  for (std::size_t i = 0; i < M; ++i) all[N + i] = more[i];
  return all;
}

// A size of an output: a multiple of that of an input's axis, or (kFixed) a number.
inline constexpr int32_t kFixed = -1;
struct SizeOf {
  int32_t input;
  int32_t axis;
  int32_t times = 1;
};

inline constexpr int32_t kMaxOutputRank = 4;
struct Output {
  Type type;
  int32_t rank;
  SizeOf dims[kMaxOutputRank];
};

// An output of an input's shape, and one that has `channels` in place of its last axis.
constexpr Output like(Type type, int32_t input, int32_t rank) {
  return {type, rank, {{input, 0}, {input, 1}, {input, 2}, {input, 3}}};
}
constexpr Output on_grid(Type type, int32_t input, SizeOf channels) {
  return {type, 4, {{input, 0}, {input, 1}, {input, 2}, channels}};
}

// The dimensions of a node's inputs; those beyond `count` are absent.
struct Shapes {
  const nvinfer1::Dims* dims;
  int32_t count;
  const nvinfer1::Dims& operator[](int32_t input) const { return dims[input]; }
  bool has(int32_t input) const { return input < count; }
  Shapes from(int32_t first) const { return {dims + first, count - first}; }
};

// The dimensions an output has.
nvinfer1::Dims dims_of(const Output& output, const Shapes& inputs);

// Whether an input has exactly these dimensions.
bool match(const Input& input, const nvinfer1::Dims& dims, std::initializer_list<int64_t> wanted,
           Reason* reason);

// Whether output `index` has the dimensions it must have.
bool match_output(int32_t index, const nvinfer1::Dims& dims, const nvinfer1::Dims& wanted,
                  Reason* reason);

// Whether a size that params hold as int32 is in 1 to `most`.
bool in_limit(const char* what, int64_t value, int64_t most, Reason* reason);

// Whether a size is a multiple of what the kernels read at once.
bool in_multiples(const char* what, int64_t value, int64_t of, Reason* reason);

// An attribute with one value a direction or group, of which there are `count`; absent ones are 0.
bool copy_list(const Attribute& attribute, int64_t count, const char* of_what, int32_t* values,
               Reason* reason);

// A scan's launcher: it tells which sizes it takes, its workspace, and takes a tuning.
template <class Params, auto kWorkspace, auto kWorkspaceLimit, auto kLaunch>
struct TunedLauncher {
  static bool takes(const Params& params) { return kWorkspaceLimit(&params) != 0; }
  static bool takes(const Params& params, const pm_cuda_tuning& tuning) {
    return kWorkspace(&params, &tuning) != 0;
  }
  static size_t workspace_limit(const Params& params) { return kWorkspaceLimit(&params); }
  static cudaError_t launch(const Params& params, const pm_cuda_tuning& tuning, void* workspace,
                            cudaStream_t stream) {
    return kLaunch(&params, &tuning, workspace, stream);
  }
};

// A launcher with one way to run and no workspace, whose sizes shape() judges.
template <class Params, auto kLaunch>
struct PlainLauncher {
  static bool takes(const Params&) { return true; }
  static bool takes(const Params&, const pm_cuda_tuning&) { return false; }
  static size_t workspace_limit(const Params&) { return 0; }
  static cudaError_t launch(const Params& params, const pm_cuda_tuning&, void*,
                            cudaStream_t stream) {
    return kLaunch(&params, stream);
  }
};

}  // namespace posemamba::trt
