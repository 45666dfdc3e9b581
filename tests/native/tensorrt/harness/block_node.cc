#include "block_node.h"

#include <cuda_fp16.h>

#include <cstring>

#include "check.h"

namespace harness {
namespace {

using Tensors = std::vector<BlockTensor>;

constexpr DataType kSingle = DataType::kFLOAT;
constexpr DataType kHalf = DataType::kHALF;

// A packed matrix, as docs/design/block.md lays it out.
BlockTensor packed(const char* name, int64_t outputs, int64_t inputs) {
  return {name, kHalf, {outputs / 16, inputs / 16, 32, 8}};
}

BlockTensor vector_of(const char* name, int64_t size) { return {name, kSingle, {size}}; }

std::vector<BlockNode> composed(const BlockSizes& s, DataType type) {
  const int64_t d = s.d_model, inner = 2 * d;
  const std::vector<int64_t> grid = {s.batch, s.frames, s.joints};
  const auto on = [&grid](const char* name, DataType of, int64_t channels) {
    return BlockTensor{name, of, {grid[0], grid[1], grid[2], channels}};
  };
  const std::string suffix = type == kHalf ? " float16" : " float32";
  BlockNode conv{"ConvSilu" + suffix, "ConvSilu", {}, {}, {}, {}};
  conv.inputs = {
      on("xz", type, 2 * inner), {"weight", kSingle, {9, inner}}, vector_of("bias", inner)};
  conv.outputs = {on("y", type, inner)};
  BlockNode gate{"GatedNorm" + suffix, "GatedNorm", {}, {{"epsilon", 1e-5f}}, {}, {}};
  gate.inputs = {on("y", type, inner), on("xz", type, 2 * inner), vector_of("gamma", inner),
                 vector_of("beta", inner)};
  gate.outputs = {on("out", type, inner)};
  BlockNode add{
      "AddNorm" + suffix, "AddNorm", {}, {{"epsilon", 1e-6f}, {"shared_epsilon", 0.0f}}, {}, {}};
  add.inputs = {on("residual", kSingle, d), on("branch", type, d), vector_of("gamma", d),
                vector_of("beta", d)};
  add.outputs = {on("stream", kSingle, d), on("out", type, d)};
  BlockNode shared = add;
  shared.what += " with a shared norm";
  shared.reals[1].second = 1e-4f;
  shared.inputs.push_back(vector_of("shared_gamma", d));
  shared.inputs.push_back(vector_of("shared_beta", d));
  return {conv, gate, add, shared};
}

// A tail and the convolution before it as one node.
BlockNode whole(BlockNode tail, const BlockNode& conv) {
  const size_t word = tail.op.find("Tail");
  tail.what.replace(word, 4, ""), tail.op.replace(word, 4, "");
  Tensors given = {conv.inputs[0], tail.inputs[3], conv.inputs[1], conv.inputs[2], conv.inputs[3]};
  given[2].name = "conv_weight", given[3].name = "conv_bias";
  given.insert(given.end(), tail.inputs.begin() + 4, tail.inputs.end());
  tail.inputs = given;
  return tail;
}

std::vector<BlockNode> fused(const BlockSizes& s) {
  const int64_t d = s.d_model, inner = 2 * d, row = 4 * (s.dt_rank + 2 * s.d_state);
  const auto on = [&s](const char* name, DataType of, int64_t channels) {
    return BlockTensor{name, of, {s.batch, s.frames, s.joints, channels}};
  };
  BlockNode embed{"Embed", "Embed", {}, {{"epsilon", 1e-6f}}, {}, {}};
  embed.inputs = {on("keypoints_2d", kSingle, 2), {"weight", kSingle, {d, 2}},
                  vector_of("bias", d),           {"joint_position", kSingle, {s.joints, d}},
                  {"next_norm", kSingle, {2, d}}, packed("in_proj", 4 * d, d)};
  embed.outputs = {on("stream", kSingle, d), on("xz", kHalf, 4 * d)};
  BlockNode conv{"ConvProj", "ConvProj", {}, {}, {}, {}};
  conv.inputs = {on("xz", kHalf, 4 * d),
                 {"weight", kSingle, {9, inner}},
                 vector_of("bias", inner),
                 packed("projection", row, inner)};
  conv.outputs = {on("u", kHalf, inner), on("x_dbl", kHalf, row)};
  BlockNode tail{"BlockTail", "BlockTail", {}, {}, {}, {}};
  Sizes scan;
  scan.joints = s.joints, scan.d_state = s.d_state, scan.dt_rank = s.dt_rank;
  tail.ints = cross_node(scan).attributes;
  tail.reals = {{"out_epsilon", 1e-5f},
                {"norm2_epsilon", 1e-6f},
                {"shared_epsilon", 2e-6f},
                {"next_epsilon", 3e-6f}};
  tail.inputs = {on("u", kHalf, inner),
                 on("x_dbl", kHalf, row),
                 on("xz", kHalf, 4 * d),
                 on("residual", kSingle, d),
                 {"dt_weight", kSingle, {4, inner, s.dt_rank}},
                 {"dt_bias", kSingle, {4, inner}},
                 {"A", kSingle, {4, inner, s.d_state}},
                 {"D", kSingle, {4, inner}},
                 vector_of("vectors", 17 * d),
                 packed("out_proj", d, inner),
                 packed("fc1", inner, d),
                 packed("fc2", d, inner)};
  BlockNode last = tail;
  last.what = last.op = "LastBlockTail";
  last.inputs.push_back({"head_weight", kSingle, {3, d}});
  last.inputs.push_back(vector_of("head_bias", 3));
  last.outputs = {on("stream", kSingle, d), on("poses_3d", kSingle, 3)};
  tail.inputs.push_back(packed("in_proj", 4 * d, d));
  tail.outputs = {on("stream", kSingle, d), on("xz", kHalf, 4 * d)};
  BlockNode positioned = tail;
  positioned.what += " with a position";
  positioned.inputs.push_back({"position", kSingle, {s.frames + 2, d}});  // of a longer clip
  BlockNode summed = tail;
  summed.what += " with half sums";
  summed.ints.back().values = {1};
  std::vector<BlockNode> all = {embed, conv, tail, positioned, summed, last};
  for (const BlockNode* one : {&tail, &positioned, &summed, &last}) {
    all.push_back(whole(*one, conv));
  }
  return all;
}

}  // namespace

size_t BlockTensor::elements() const {
  size_t all = 1;
  for (const int64_t size : dims) all *= static_cast<size_t>(size);
  return all;
}

size_t BlockNode::place(const std::string& input) const {
  size_t i = 0;
  while (i < inputs.size() && inputs[i].name != input) ++i;
  return i;
}

bool BlockNode::has(const std::string& input) const { return place(input) < inputs.size(); }

float BlockNode::real(const std::string& name) const {
  for (const auto& [known, value] : reals) {
    if (known == name) return value;
  }
  return 0.0f;
}

std::vector<BlockNode> block_nodes(const BlockSizes& sizes) {
  std::vector<BlockNode> all = composed(sizes, kSingle);
  for (const auto& more : {composed(sizes, kHalf), fused(sizes)}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::vector<nvinfer1::PluginField> fields_of(const BlockNode& node) {
  std::vector<nvinfer1::PluginField> fields;
  for (const Attribute& a : node.ints) {
    fields.emplace_back(a.name.c_str(), a.values.data(), nvinfer1::PluginFieldType::kINT32,
                        static_cast<int32_t>(a.values.size()));
  }
  for (const auto& [name, value] : node.reals) {
    fields.emplace_back(name.c_str(), &value, nvinfer1::PluginFieldType::kFLOAT32, 1);
  }
  return fields;
}

PluginPointer create(const Library& library, const BlockNode& node,
                     const std::vector<nvinfer1::PluginField>* fields) {
  nvinfer1::IPluginCreatorV3One* creator = library.creator(node.op);
  if (creator == nullptr) return nullptr;
  const std::vector<nvinfer1::PluginField> own = fields_of(node);
  const std::vector<nvinfer1::PluginField>& given = fields == nullptr ? own : *fields;
  const nvinfer1::PluginFieldCollection collection{static_cast<int32_t>(given.size()),
                                                   given.data()};
  return PluginPointer(
      creator->createPlugin("blocks.0", &collection, nvinfer1::TensorRTPhase::kBUILD));
}

std::vector<nvinfer1::PluginTensorDesc> describe(const BlockNode& node) {
  std::vector<nvinfer1::PluginTensorDesc> all;
  for (const auto* tensors : {&node.inputs, &node.outputs}) {
    for (const BlockTensor& t : *tensors) {
      all.push_back({dims_of(t.dims), t.type, nvinfer1::TensorFormat::kLINEAR, 1.0f});
    }
  }
  return all;
}

std::vector<nvinfer1::DynamicPluginTensorDesc> describe_profile(const BlockNode& node) {
  std::vector<nvinfer1::DynamicPluginTensorDesc> all;
  for (const nvinfer1::PluginTensorDesc& one : describe(node)) {
    all.push_back({one, one.dims, one.dims, one.dims});
  }
  return all;
}

BlockData::BlockData(const BlockNode& node, uint64_t seed) {
  for (const BlockTensor& t : node.inputs) {
    std::vector<unsigned char> bytes(t.bytes());
    for (size_t i = 0; i < t.elements(); ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      float value = static_cast<float>(seed >> 40) / static_cast<float>(1 << 24) - 0.5f;
      if (t.name == "A") value -= 0.75f;  // a state decays
      const __half half = __float2half(value);
      const bool is_half = t.type == DataType::kHALF;
      const void* from = is_half ? static_cast<const void*>(&half) : &value;
      const size_t size = is_half ? sizeof half : sizeof value;
      std::memcpy(bytes.data() + i * size, from, size);
    }
    inputs.push_back(std::make_unique<Buffer>(bytes.size()));
    EXPECT(cudaMemcpy(inputs.back()->data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice) ==
               cudaSuccess,
           t.name);
  }
  for (const BlockTensor& t : node.outputs) outputs.push_back(std::make_unique<Buffer>(t.bytes()));
  EXPECT(cudaDeviceSynchronize() == cudaSuccess, node.what);  // a copy may return before it landed
}

std::vector<const void*> BlockData::given() const {
  std::vector<const void*> all;
  for (const auto& one : inputs) all.push_back(one->data());
  return all;
}

std::vector<void*> BlockData::made() const {
  std::vector<void*> all;
  for (const auto& one : outputs) all.push_back(one->data());
  return all;
}

std::vector<std::vector<unsigned char>> BlockData::results() const {
  std::vector<std::vector<unsigned char>> all;
  for (const auto& one : outputs) {
    EXPECT(one->guards_intact(), "what lies around an output");
    all.push_back(one->bytes());
  }
  return all;
}

}  // namespace harness
