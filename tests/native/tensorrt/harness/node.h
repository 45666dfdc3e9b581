// A node of either operator as the builder hands it to a plugin.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime.h"

namespace harness {

using nvinfer1::DataType;
using PluginPointer = std::unique_ptr<nvinfer1::IPluginV3>;

struct Tensor {
  const char* name;
  bool activation;
  std::vector<int64_t> dims;
};

struct Attribute {
  std::string name;
  std::vector<int32_t> values;
};

struct Node {
  std::string op;
  std::vector<Attribute> attributes;
  std::vector<Tensor> inputs;
  DataType type = DataType::kFLOAT;

  std::vector<int32_t>& attribute(const std::string& name);
  void drop(const std::string& name);
  Tensor& input(const std::string& name);
  int32_t count() const { return static_cast<int32_t>(inputs.size()); }
};

// Sizes a node is made with; what an operator does not have is ignored.
struct Sizes {
  int64_t batch = 2, frames = 9, joints = 17, d_inner = 32, d_state = 16, dt_rank = 4;
  bool gated = true;  // SelectiveScan has its last input, z
  int64_t length() const { return frames * joints; }
};
Node cross_node(const Sizes& sizes = {});
Node plain_node(const Sizes& sizes = {});  // two groups of d_inner channels
Node make_node(const std::string& op, const Sizes& sizes = {});
const std::vector<std::string>& operators();

// The node's attributes as plugin fields, pointing into the node.
std::vector<nvinfer1::PluginField> fields_of(const Node& node);

// createPlugin with these fields (those of the node if null), in the build phase unless said.
PluginPointer create(const Library& library, const Node& node,
                     const std::vector<nvinfer1::PluginField>* fields = nullptr,
                     nvinfer1::TensorRTPhase phase = nvinfer1::TensorRTPhase::kBUILD);
// As an engine's load does it: a new plugin from what `plugin` serializes.
PluginPointer reload(const Library& library, const Node& node, nvinfer1::IPluginV3& plugin);

nvinfer1::IPluginV3OneCore& core(nvinfer1::IPluginV3& plugin);
nvinfer1::IPluginV3OneBuild& build(nvinfer1::IPluginV3& plugin);
nvinfer1::IPluginV3OneRuntime& Runtime(nvinfer1::IPluginV3& plugin);

nvinfer1::Dims dims_of(const std::vector<int64_t>& dims);

// Descriptions of the inputs and, last, the output, all linear.
std::vector<nvinfer1::PluginTensorDesc> describe(const Node& node);
// The same for a profile from `node` to `largest`, batch and frames (length) not known.
std::vector<nvinfer1::DynamicPluginTensorDesc> describe_profile(const Node& node,
                                                                const Node& largest);

// configurePlugin for that profile; its status.
int32_t configure(nvinfer1::IPluginV3& plugin, const Node& node, const Node& largest);
size_t workspace_of(nvinfer1::IPluginV3& plugin, const Node& node, const Node& largest);
int32_t change_shape(nvinfer1::IPluginV3& plugin, const Node& node);
std::vector<int32_t> tactics_of(nvinfer1::IPluginV3& plugin);

}  // namespace harness
