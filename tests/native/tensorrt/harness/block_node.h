// Nodes of the block's operators (composed and fused) as the builder hands them to a plugin, and
// their launchers called without one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "node.h"

namespace harness {

struct BlockTensor {
  std::string name;
  DataType type;
  std::vector<int64_t> dims;
  size_t elements() const;
  size_t bytes() const { return elements() * (type == DataType::kHALF ? 2u : 4u); }
};

struct BlockNode {
  std::string what;  // the operator and what is special here
  std::string op;
  std::vector<Attribute> ints;
  std::vector<std::pair<std::string, float>> reals;
  std::vector<BlockTensor> inputs;
  std::vector<BlockTensor> outputs;

  int32_t count() const { return static_cast<int32_t>(inputs.size()); }
  int32_t made() const { return static_cast<int32_t>(outputs.size()); }
  size_t place(const std::string& input) const;
  bool has(const std::string& input) const;
  float real(const std::string& name) const;
};

struct BlockSizes {
  int64_t batch = 2, frames = 9, joints = 17, d_model = 64, d_state = 16, dt_rank = 4;
};

// Every operator in every type it takes, with its optional inputs and without.
std::vector<BlockNode> block_nodes(const BlockSizes& sizes = {});

std::vector<nvinfer1::PluginField> fields_of(const BlockNode& node);
PluginPointer create(const Library& library, const BlockNode& node,
                     const std::vector<nvinfer1::PluginField>* fields = nullptr);

// Descriptions of the inputs, then the outputs; as a profile of one shape too.
std::vector<nvinfer1::PluginTensorDesc> describe(const BlockNode& node);
std::vector<nvinfer1::DynamicPluginTensorDesc> describe_profile(const BlockNode& node);

// The node's tensors on the device, the inputs filled with seeded numbers.
struct BlockData {
  std::vector<std::unique_ptr<Buffer>> inputs, outputs;
  explicit BlockData(const BlockNode& node, uint64_t seed = 3);
  std::vector<const void*> given() const;
  std::vector<void*> made() const;
  std::vector<std::vector<unsigned char>> results() const;
};

// The launcher of an operator in libposemamba_cuda.so, its parameters filled from what
// posemamba/block_cuda.h says of them; false where the library lacks it or the launcher refuses.
bool launch_directly(const BlockNode& node, const BlockData& data, void* workspace);

}  // namespace harness
