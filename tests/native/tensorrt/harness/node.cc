#include "node.h"

namespace harness {
namespace {

template <class Items>
auto& named(Items& items, const std::string& name) {
  for (auto& item : items) {
    if (item.name == name) return item;
  }
  std::printf("the harness asks for an unknown '%s'\n", name.c_str());
  std::abort();
}

}  // namespace

std::vector<int32_t>& Node::attribute(const std::string& name) {
  return named(attributes, name).values;
}

Tensor& Node::input(const std::string& name) { return named(inputs, name); }

void Node::drop(const std::string& name) {
  for (size_t i = attributes.size(); i-- > 0;) {
    if (attributes[i].name == name) attributes.erase(attributes.begin() + static_cast<long>(i));
  }
}

Node cross_node(const Sizes& s) {
  const int64_t row = 4 * (s.dt_rank + 2 * s.d_state);
  Node node;
  node.op = "CrossSelectiveScan";
  std::vector<int32_t> limbs;
  for (int32_t j = 0; j < s.joints; ++j) limbs.push_back(j / 2);
  node.attributes = {{"d_state", {static_cast<int32_t>(s.d_state)}},
                     {"dt_rank", {static_cast<int32_t>(s.dt_rank)}},
                     {"order", {0, 1, 2, 3}},
                     {"reverse", {0, 0, 1, 1}},
                     {"limb_mask", {1, 0, 1, 0}},
                     {"limb_index", limbs},
                     {"half_sums", {0}}};
  node.inputs = {{"x", true, {s.batch, s.frames, s.joints, s.d_inner}},
                 {"x_dbl", true, {s.batch, s.frames, s.joints, row}},
                 {"dt_weight", false, {4, s.d_inner, s.dt_rank}},
                 {"dt_bias", false, {4, s.d_inner}},
                 {"A", false, {4, s.d_inner, s.d_state}},
                 {"D", false, {4, s.d_inner}}};
  return node;
}

Node plain_node(const Sizes& s) {
  const int64_t rows = 2 * s.d_inner;
  Node node;
  node.op = "SelectiveScan";
  node.attributes = {{"delta_softplus", {1}}, {"reverse", {0, 1}}};
  node.inputs = {{"u", true, {s.batch, rows, s.length()}},
                 {"delta", true, {s.batch, rows, s.length()}},
                 {"A", false, {rows, s.d_state}},
                 {"B", true, {s.batch, 2, s.d_state, s.length()}},
                 {"C", true, {s.batch, 2, s.d_state, s.length()}},
                 {"D", false, {rows}},
                 {"delta_bias", false, {rows}},
                 {"z", true, {s.batch, rows, s.length()}}};
  if (!s.gated) node.inputs.pop_back();
  return node;
}

Node make_node(const std::string& op, const Sizes& sizes) {
  return op == "CrossSelectiveScan" ? cross_node(sizes) : plain_node(sizes);
}

const std::vector<std::string>& operators() {
  static const std::vector<std::string> names = {"CrossSelectiveScan", "SelectiveScan"};
  return names;
}

std::vector<nvinfer1::PluginField> fields_of(const Node& node) {
  std::vector<nvinfer1::PluginField> fields;
  for (const Attribute& a : node.attributes) {
    fields.emplace_back(a.name.c_str(), a.values.data(), nvinfer1::PluginFieldType::kINT32,
                        static_cast<int32_t>(a.values.size()));
  }
  return fields;
}

PluginPointer create(const Library& library, const Node& node,
                     const std::vector<nvinfer1::PluginField>* fields,
                     nvinfer1::TensorRTPhase phase) {
  nvinfer1::IPluginCreatorV3One* creator = library.creator(node.op);
  if (creator == nullptr) return nullptr;
  const std::vector<nvinfer1::PluginField> own = fields_of(node);
  const std::vector<nvinfer1::PluginField>& given = fields == nullptr ? own : *fields;
  nvinfer1::PluginFieldCollection collection;
  collection.nbFields = static_cast<int32_t>(given.size());
  collection.fields = given.data();
  return PluginPointer(creator->createPlugin("blocks.0/scan", &collection, phase));
}

PluginPointer reload(const Library& library, const Node& node, nvinfer1::IPluginV3& plugin) {
  const nvinfer1::PluginFieldCollection* kept = Runtime(plugin).getFieldsToSerialize();
  if (kept == nullptr) return nullptr;
  const std::vector<nvinfer1::PluginField> fields(kept->fields, kept->fields + kept->nbFields);
  return create(library, node, &fields, nvinfer1::TensorRTPhase::kRUNTIME);
}

nvinfer1::IPluginV3OneCore& core(nvinfer1::IPluginV3& plugin) {
  return *static_cast<nvinfer1::IPluginV3OneCore*>(
      plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kCORE));
}

nvinfer1::IPluginV3OneBuild& build(nvinfer1::IPluginV3& plugin) {
  return *static_cast<nvinfer1::IPluginV3OneBuild*>(
      plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kBUILD));
}

nvinfer1::IPluginV3OneRuntime& Runtime(nvinfer1::IPluginV3& plugin) {
  return *static_cast<nvinfer1::IPluginV3OneRuntime*>(
      plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
}

nvinfer1::Dims dims_of(const std::vector<int64_t>& dims) {
  nvinfer1::Dims out{};
  out.nbDims = static_cast<int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), out.d);
  return out;
}

std::vector<nvinfer1::PluginTensorDesc> describe(const Node& node) {
  std::vector<nvinfer1::PluginTensorDesc> all;
  for (const Tensor& t : node.inputs) {
    all.push_back({dims_of(t.dims), t.activation ? node.type : DataType::kFLOAT,
                   nvinfer1::TensorFormat::kLINEAR, 1.0f});
  }
  all.push_back({dims_of(node.inputs[0].dims), node.type, nvinfer1::TensorFormat::kLINEAR, 1.0f});
  return all;
}

std::vector<nvinfer1::DynamicPluginTensorDesc> describe_profile(const Node& node,
                                                                const Node& largest) {
  const std::vector<nvinfer1::PluginTensorDesc> low = describe(node), high = describe(largest);
  std::vector<nvinfer1::DynamicPluginTensorDesc> all;
  for (size_t i = 0; i < low.size(); ++i) {
    nvinfer1::DynamicPluginTensorDesc one{low[i], low[i].dims, high[i].dims, low[i].dims};
    for (int32_t d = 0; d < one.min.nbDims; ++d) {
      if (one.min.d[d] != one.max.d[d]) one.desc.dims.d[d] = -1;
    }
    all.push_back(one);
  }
  return all;
}

int32_t configure(nvinfer1::IPluginV3& plugin, const Node& node, const Node& largest) {
  const auto all = describe_profile(node, largest);
  return build(plugin).configurePlugin(all.data(), node.count(), all.data() + node.count(), 1);
}

size_t workspace_of(nvinfer1::IPluginV3& plugin, const Node& node, const Node& largest) {
  const auto all = describe_profile(node, largest);
  return build(plugin).getWorkspaceSize(all.data(), node.count(), all.data() + node.count(), 1);
}

int32_t change_shape(nvinfer1::IPluginV3& plugin, const Node& node) {
  const auto all = describe(node);
  return Runtime(plugin).onShapeChange(all.data(), node.count(), all.data() + node.count(), 1);
}

std::vector<int32_t> tactics_of(nvinfer1::IPluginV3& plugin) {
  std::vector<int32_t> tactics(static_cast<size_t>(build(plugin).getNbTactics()), -7);
  const int32_t count = static_cast<int32_t>(tactics.size());
  if (build(plugin).getValidTactics(tactics.data(), count) != 0) tactics.clear();
  return tactics;
}

}  // namespace harness
