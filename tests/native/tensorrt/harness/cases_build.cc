// What the builder asks of a plugin.
#include <cstring>
#include <memory>
#include <set>

#include "check.h"
#include "expression.h"
#include "node.h"

using namespace harness;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::TensorFormat;

namespace {

constexpr int32_t kDataTypes = 12;  // more than any release has formats or types of
constexpr int32_t kFormats = 14;

// Every combination the plugin takes, asked as the builder does: position by position, what lies
// behind the position being garbage.
void enumerate(nvinfer1::IPluginV3OneBuild& build, int32_t inputs, int32_t position,
               std::vector<DynamicPluginTensorDesc>* tensors,
               std::vector<std::vector<DataType>>* found) {
  if (position == inputs + 1) {
    std::vector<DataType> types;
    for (const DynamicPluginTensorDesc& t : *tensors) types.push_back(t.desc.type);
    found->push_back(types);
    return;
  }
  for (int32_t type = 0; type < kDataTypes; ++type) {
    for (int32_t format = 0; format < kFormats; ++format) {
      for (size_t i = static_cast<size_t>(position); i < tensors->size(); ++i) {
        (*tensors)[i].desc.type = static_cast<DataType>((type + 5) % kDataTypes);
        (*tensors)[i].desc.format = static_cast<TensorFormat>(3);
      }
      auto& asked = (*tensors)[static_cast<size_t>(position)].desc;
      asked.type = static_cast<DataType>(type);
      asked.format = static_cast<TensorFormat>(format);
      const bool taken = build.supportsFormatCombination(position, tensors->data(), inputs, 1);
      if (format != static_cast<int32_t>(TensorFormat::kLINEAR)) {
        EXPECT(!taken, "a format other than kLINEAR");
      } else if (taken) {
        enumerate(build, inputs, position + 1, tensors, found);
      }
    }
  }
}

}  // namespace

CASE(formats) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    const PluginPointer plugin = create(library, node);
    REQUIRE(plugin != nullptr, op);
    std::vector<DynamicPluginTensorDesc> tensors = describe_profile(node, node);
    std::vector<std::vector<DataType>> found;
    enumerate(build(*plugin), node.count(), 0, &tensors, &found);
    REQUIRE(found.size() == 2, op + ": " + std::to_string(found.size()) + " combinations");
    for (const std::vector<DataType>& types : found) {
      Node typed = node;
      typed.type = types[0];
      const std::vector<nvinfer1::PluginTensorDesc> wanted = describe(typed);
      for (size_t i = 0; i < types.size(); ++i) EXPECT(types[i] == wanted[i].type, op);
    }
    EXPECT(found[0][0] == DataType::kFLOAT && found[1][0] == DataType::kHALF, op);
    EXPECT(!build(*plugin).supportsFormatCombination(-1, tensors.data(), node.count(), 1), op);
    EXPECT(!build(*plugin).supportsFormatCombination(node.count() + 1, tensors.data(), node.count(),
                                                     1),
           op);
  }
}

CASE(output_types) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    const PluginPointer plugin = create(library, node);
    for (int32_t type = 0; type < kDataTypes; ++type) {
      std::vector<DataType> inputs(node.inputs.size(), DataType::kFLOAT);
      inputs[0] = static_cast<DataType>(type);
      DataType output = DataType::kBOOL;
      const int32_t status =
          build(*plugin).getOutputDataTypes(&output, 1, inputs.data(), node.count());
      const bool floating = inputs[0] == DataType::kFLOAT || inputs[0] == DataType::kHALF;
      EXPECT((status == 0) == floating, op + " type " + std::to_string(type));
      if (floating) EXPECT(output == inputs[0], op);
      std::string errors;
      if (!floating) EXPECT(one_error_saying("float16", &errors), errors);
    }
  }
}

CASE(output_shapes) {
  const Library library;
  for (const std::string& op : operators()) {
    for (const int64_t batch : {1, 3}) {
      const Node node = make_node(op, {batch, 7});
      const PluginPointer plugin = create(library, node);
      Expressions builder;
      std::vector<nvinfer1::DimsExprs> inputs;
      for (const Tensor& t : node.inputs) inputs.push_back(builder.of(t.dims));
      nvinfer1::DimsExprs output{};
      EXPECT(build(*plugin).getOutputShapes(inputs.data(), node.count(), nullptr, 0, &output, 1,
                                            builder) == 0,
             op);
      EXPECT(Expressions::Values(output) == node.inputs[0].dims, op);

      std::string errors;
      for (size_t i = 0; i < inputs.size(); ++i) {  // each input with an axis too few
        std::vector<nvinfer1::DimsExprs> wrong = inputs;
        --wrong[i].nbDims;
        EXPECT(build(*plugin).getOutputShapes(wrong.data(), node.count(), nullptr, 0, &output, 1,
                                              builder) != 0,
               op);
        EXPECT(one_error_saying(std::string("'") + node.inputs[i].name + "' has", &errors), errors);
      }
      EXPECT(build(*plugin).getOutputShapes(inputs.data(), node.count(), inputs.data(), 1, &output,
                                            1, builder) != 0,
             op);
      EXPECT(one_error_saying("shape inputs", &errors), errors);
      for (const int32_t count : {0, 4, node.count() + 1}) {
        EXPECT(build(*plugin).getOutputShapes(inputs.data(), count, nullptr, 0, &output, 1,
                                              builder) != 0,
               op);
        EXPECT(one_error_saying("inputs", &errors), errors);
      }
    }
  }
}

CASE(configuration) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node small = make_node(op, {1, 1}), large = make_node(op, {4, 81});
    const PluginPointer plugin = create(library, small);
    EXPECT(configure(*plugin, small, large) == 0, op);
    EXPECT(configure(*plugin, large, large) == 0, op);
    // Before a profile is chosen, bounds may be unknown.
    auto tensors = describe_profile(small, large);
    for (auto& t : tensors) t.max = t.desc.dims;
    EXPECT(build(*plugin).configurePlugin(tensors.data(), small.count(),
                                          tensors.data() + small.count(), 1) == 0,
           op);
    EXPECT(tactics_of(*plugin) == std::vector<int32_t>{1}, op);

    std::string errors;
    for (const Tensor& t : large.inputs) {  // the last axis one too long, then one axis too many
      Node wrong = large;
      wrong.input(t.name).dims.back() += 1;
      EXPECT(configure(*plugin, wrong, wrong) != 0, op + " " + t.name);
      EXPECT(one_error_saying("it must be", &errors) || one_error_saying("'u' has", &errors),
             op + " " + t.name + ": " + errors);
      wrong = large;
      wrong.input(t.name).dims.push_back(1);
      EXPECT(configure(*plugin, wrong, wrong) != 0, op + " " + t.name);
      EXPECT(one_error_saying("axes", &errors), errors);
    }
    const Node narrow = make_node(op, {1, 9, 17, 12});
    const PluginPointer refuses = create(library, narrow);
    EXPECT(configure(*refuses, narrow, narrow) != 0, "d_inner must be a multiple of 8");
    EXPECT(one_error_saying("do not take these sizes", &errors), errors);
  }
  Sizes sizes;
  for (const auto& [limit, change] : std::vector<std::pair<std::string, void (*)(Sizes*)>>{
           {"joints is 65", [](Sizes* s) { s->joints = 65; }},
           {"d_state is 65", [](Sizes* s) { s->d_state = 65; }},
           {"dt_rank is 129", [](Sizes* s) { s->dt_rank = 129; }}}) {
    Sizes beyond = sizes;
    change(&beyond);
    Node node = cross_node(beyond);
    node.drop("d_state"), node.drop("dt_rank"), node.drop("limb_index"), node.drop("limb_mask");
    const PluginPointer plugin = create(library, node);
    REQUIRE(plugin != nullptr, limit);
    std::string errors;
    EXPECT(configure(*plugin, node, node) != 0, limit);
    EXPECT(one_error_saying(limit, &errors), errors);
  }
}

// Sized by the profile's maximum alone, whatever it is configured or running with.
CASE(workspace) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node small = make_node(op, {1, 1}), large = make_node(op, {4, 81});
    const PluginPointer plugin = create(library, small);
    const size_t of_profile = workspace_of(*plugin, small, large);
    EXPECT(of_profile > 0 && of_profile % 256 == 0, op + " " + std::to_string(of_profile));
    EXPECT(workspace_of(*plugin, large, large) == of_profile, op);
    EXPECT(workspace_of(*plugin, small, small) <= of_profile, op);
    Node wrong = large;
    wrong.inputs[1].dims.back() += 1;
    EXPECT(workspace_of(*plugin, wrong, wrong) == 0, op);
    take_log();
  }
  // CrossSelectiveScan keeps what each direction makes until they are summed.
  const Node node = cross_node({4, 81});
  EXPECT(workspace_of(*create(library, node), node, node) >= 4u * 4 * 81 * 17 * 32 * 4, "");
}

CASE(tactics) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    const PluginPointer plugin = create(library, node);
    EXPECT(tactics_of(*plugin) == std::vector<int32_t>{1}, op + " before configurePlugin");
    EXPECT(configure(*plugin, node, node) == 0, op);
    const std::vector<int32_t> tactics = tactics_of(*plugin);
    EXPECT(!tactics.empty() && tactics[0] == 1, "the automatic one comes first");
    EXPECT(std::set<int32_t>(tactics.begin(), tactics.end()).size() == tactics.size(), "unique");
    for (const int32_t tactic : tactics) {
      EXPECT(tactic != 0, "0 is TensorRT's");
      EXPECT(Runtime(*plugin).setTactic(tactic) == 0, std::to_string(tactic));
    }
    EXPECT(Runtime(*plugin).setTactic(0) == 0, "the default tactic");
    EXPECT(take_log().empty(), "");
    int32_t none = 0;
    EXPECT(build(*plugin).getValidTactics(&none, 0) != 0, "another count than advertised");
    take_log();
    for (const int32_t tactic : {-1, -17, 2, 15, 16, 32, 48, 1000}) {
      std::string errors;
      EXPECT(Runtime(*plugin).setTactic(tactic) != 0, std::to_string(tactic));
      EXPECT(one_error_saying("no tactic " + std::to_string(tactic), &errors), errors);
    }
  }
}

// The same for nodes that may share timings, another for each that may not.
CASE(timing_cache_id) {
  const Library library;
  for (const std::string& op : operators()) {
    std::set<std::string> ids;
    const auto id_of = [&](const Node& node) {
      const PluginPointer plugin = create(library, node);
      const char* id = plugin == nullptr ? nullptr : build(*plugin).getTimingCacheID();
      return std::string(id == nullptr ? "" : id);
    };
    const std::string usual = id_of(make_node(op));
    ids.insert(usual);
    EXPECT(usual.rfind("posemamba ", 0) == 0, usual);
    EXPECT(id_of(make_node(op, {5, 33})) == usual, "shapes are the cache's own business");
    const PluginPointer plugin = create(library, make_node(op));
    EXPECT(usual == build(*plugin).getMetadataString(), "");
    const PluginPointer clone(plugin->clone());
    EXPECT(usual == build(*clone).getTimingCacheID(), "of a clone");
    size_t variants = 1;
    for (const Attribute& attribute : make_node(op).attributes) {
      Node node = make_node(op);
      int32_t& value = node.attribute(attribute.name).back();
      value = value == 0 ? 1 : value - 1;
      ids.insert(id_of(node));
      ++variants;
    }
    EXPECT(ids.size() == variants && ids.count("") == 0, op);
  }
}
