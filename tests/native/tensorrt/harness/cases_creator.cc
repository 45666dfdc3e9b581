// What the registry and the ONNX parser do: load, look up, create.
#include <cstring>
#include <functional>

#include "check.h"
#include "node.h"

using namespace harness;

namespace {
// Two scans in two versions, three composed and six fused operators.
constexpr int32_t kCreators = 4 + 3 + 6;
}  // namespace

CASE(creators) {
  const Library library;
  REQUIRE(library.loaded() && library.count() == kCreators, std::to_string(library.count()));
  for (const std::string& op : operators()) {
    nvinfer1::IPluginCreatorV3One* creator = library.creator(op);
    REQUIRE(creator != nullptr, op);
    EXPECT(std::strcmp(creator->getPluginVersion(), "1") == 0, op);
    EXPECT(std::strcmp(creator->getPluginNamespace(), "posemamba") == 0, op);
    EXPECT(std::strcmp(creator->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0, op);
    const nvinfer1::PluginFieldCollection* fields = creator->getFieldNames();
    const Node node = make_node(op);
    REQUIRE(fields != nullptr && fields->nbFields == static_cast<int32_t>(node.attributes.size()),
            op);
    for (int32_t i = 0; i < fields->nbFields; ++i) {
      EXPECT(node.attributes[static_cast<size_t>(i)].name == fields->fields[i].name, op);
      EXPECT(fields->fields[i].type == nvinfer1::PluginFieldType::kINT32, op);
    }
  }
  EXPECT(take_log().empty(), "loading logs no error");
}

// One build of the plugins in every release: the log is reached in either layout of its classes.
CASE(releases) {
  for (const Release release :
       {Release{10, 3}, Release{10, 14}, Release{10, 99}, Release{11, 0}, Release{11, 4},
        Release{1, 0}, Release{1, 4}, Release{1, 5}, Release{1, 7}}) {
    const std::string name = std::to_string(release.major) + "." + std::to_string(release.minor);
    pretend(release);
    for (const Finder finder : {Finder::kGiven, Finder::kNull, Finder::kNeverSet}) {
      take_log();
      const Library library(plugin_path, finder);
      EXPECT(library.count() == kCreators, name);
      const std::vector<std::string> lines = take_log(kVerbose);
      EXPECT(lines.size() == 1 && lines[0].find("built against") != std::string::npos, name);
      Node node = cross_node();
      node.attribute("order")[0] = 9;
      std::string errors;
      EXPECT(create(library, node) == nullptr, name);
      EXPECT(one_error_saying("'order' holds 9", &errors), name + ": " + errors);
    }
  }
}

CASE(unsupported_releases_are_refused_in_one_sentence) {
  for (const Release release : {Release{8, 6}, Release{9, 3}, Release{10, 0}, Release{10, 2}}) {
    const std::string name = std::to_string(release.major) + "." + std::to_string(release.minor);
    pretend(release);
    const Library library;
    EXPECT(library.loaded() && library.count() == 0, name);
    std::string errors;
    EXPECT(one_error_saying(name + " has loaded them", &errors), errors);
  }
  // Nobody knows the classes of releases to come, so nothing of theirs is called.
  for (const Release release : {Release{12, 0}, Release{2, 0}}) {
    const std::string name = std::to_string(release.major) + "." + std::to_string(release.minor);
    pretend(release);
    int32_t count = -1;
    const std::string text = capture_stderr([&count] { count = Library().count(); });
    EXPECT(count == 0, name);
    EXPECT(text.rfind("posemamba: ", 0) == 0 && text.find('\n') == text.size() - 1, text);
    EXPECT(text.find(name + " has loaded them") != std::string::npos, text);
    EXPECT(take_log().empty(), name);
  }
}

// An engine that carries the library unpacks a copy beside the one the process may have.
CASE(loaded_twice) {
  const Library first;
  const PluginPointer early = create(first, cross_node());
  const Library again;
  EXPECT(first.at(0) == again.at(0) && first.at(1) == again.at(1), "the same creators");
  const std::string copy = plugin_path + ".copy";
  std::FILE* from = std::fopen(plugin_path.c_str(), "rb");
  std::FILE* to = std::fopen(copy.c_str(), "wb");
  REQUIRE(from != nullptr && to != nullptr, copy);
  char buffer[1 << 16];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, from)) > 0;) {
    std::fwrite(buffer, 1, n, to);
  }
  std::fclose(from);
  std::fclose(to);
  {
    const Library second(copy);
    REQUIRE(second.count() == kCreators, "the copy");
    EXPECT(first.at(0) != second.at(0), "a library of its own");
    const PluginPointer late = create(second, cross_node());
    REQUIRE(early != nullptr && late != nullptr, "plugins of both");
    EXPECT(change_shape(*early, cross_node()) == 0 && change_shape(*late, cross_node()) == 0, "");
  }
  std::remove(copy.c_str());
  EXPECT(change_shape(*early, cross_node()) == 0, "after the copy is unloaded");
  EXPECT(take_log().empty(), "");
}

CASE(capabilities) {
  const Library library;
  for (const std::string& op : operators()) {
    const PluginPointer plugin = create(library, make_node(op));
    REQUIRE(plugin != nullptr, op);
    EXPECT(std::strcmp(plugin->getInterfaceInfo().kind, "PLUGIN") == 0, op);
    EXPECT(std::strcmp(core(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_CORE") == 0, op);
    EXPECT(std::strcmp(build(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_BUILD") == 0, op);
    EXPECT(std::strcmp(Runtime(*plugin).getInterfaceInfo().kind, "PLUGIN_V3ONE_RUNTIME") == 0, op);
    EXPECT(op == core(*plugin).getPluginName(), op);
    EXPECT(std::strcmp(core(*plugin).getPluginVersion(), "1") == 0, op);
    EXPECT(std::strcmp(core(*plugin).getPluginNamespace(), "posemamba") == 0, op);
    EXPECT(build(*plugin).getNbOutputs() == 1, op);
    EXPECT(
        plugin->getCapabilityInterface(static_cast<nvinfer1::PluginCapabilityType>(9)) == nullptr,
        op);
  }
}

// Each attribute alone may be missing; then it is as docs/design/tensorrt-plugin.md says.
CASE(missing_fields_have_defaults) {
  const Library library;
  for (const std::string& op : operators()) {
    for (const Attribute& attribute : make_node(op).attributes) {
      Node node = make_node(op);
      node.drop(attribute.name);
      // Without its table a limb sum cannot be had; without limb sums the table is not needed.
      if (attribute.name == "limb_index") {
        std::string errors;
        EXPECT(create(library, node) == nullptr, op);
        EXPECT(one_error_saying("'limb_index' is missing", &errors), errors);
        node.drop("limb_mask");
      }
      const PluginPointer plugin = create(library, node);
      REQUIRE(plugin != nullptr, op + " without " + attribute.name);
      EXPECT(change_shape(*plugin, make_node(op)) == 0, op + " without " + attribute.name);
    }
    Node bare = make_node(op);
    bare.attributes.clear();
    const PluginPointer plugin = create(library, bare);
    REQUIRE(plugin != nullptr, op + " without attributes");
    EXPECT(change_shape(*plugin, bare) == 0, op + " without attributes");
  }
  EXPECT(take_log().empty(), "");
}

CASE(wrong_fields_are_refused) {
  using nvinfer1::PluginField;
  using nvinfer1::PluginFieldType;
  const Library library;
  const float floats[64] = {};
  std::vector<int32_t> many(65, 0);
  const int32_t minus_one = -1, large = 1 << 20;
  const int64_t enormous = int64_t{1} << 40;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    for (size_t i = 0; i < node.attributes.size(); ++i) {
      const char* name = node.attributes[i].name.c_str();
      const PluginField wrong[] = {
          {name, floats, PluginFieldType::kFLOAT32, 1},
          {name, "1", PluginFieldType::kCHAR, 1},
          {name, floats, PluginFieldType::kUNKNOWN, 4},
          {name, many.data(), PluginFieldType::kINT32, 65},
          {name, many.data(), PluginFieldType::kINT32, 0},
          {name, many.data(), PluginFieldType::kINT32, -1},
          {name, nullptr, PluginFieldType::kINT32, 1},
          {name, &minus_one, PluginFieldType::kINT32, 1},
          {name, &large, PluginFieldType::kINT32, 1},
          {name, &enormous, PluginFieldType::kINT64, 1},
      };
      for (const PluginField& field : wrong) {
        std::vector<PluginField> fields = fields_of(node);
        fields[i] = field;
        std::string errors;
        EXPECT(create(library, node, &fields) == nullptr, op + " " + name);
        EXPECT(one_error_saying(name, &errors), op + " " + errors);
      }
    }
    std::vector<PluginField> fields = fields_of(node);
    fields.emplace_back("colour", many.data(), PluginFieldType::kINT32, 1);
    std::string errors;
    EXPECT(create(library, node, &fields) == nullptr, op);
    EXPECT(one_error_saying("no attribute 'colour'", &errors), errors);
    fields.back().name = nullptr;
    EXPECT(create(library, node, &fields) == nullptr, op);
    EXPECT(one_error_saying("has no name", &errors), errors);
    EXPECT(library.creator(op)->createPlugin(nullptr, nullptr, nvinfer1::TensorRTPhase::kBUILD) ==
               nullptr,
           op);
    EXPECT(one_error_saying("no collection", &errors), errors);
  }
}

CASE(fields_that_must_agree) {
  const Library library;
  for (const char* name : {"reverse", "limb_mask"}) {
    Node node = cross_node();
    node.attribute(name).pop_back();
    std::string errors;
    EXPECT(create(library, node) == nullptr, name);
    EXPECT(one_error_saying(name, &errors), errors);
  }
}

// In a plan, too: a field that a plugin of before does not know is refused by name (above), and a
// plan of before has no such field.
CASE(half_sums_are_for_float16) {
  const Library library;
  Node node = cross_node();
  node.attribute("half_sums") = {2};
  std::string errors;
  EXPECT(create(library, node) == nullptr, "");
  EXPECT(one_error_saying("'half_sums' holds 2, it takes 0 to 1", &errors), errors);
  node.attribute("half_sums") = {1};
  const PluginPointer plugin = create(library, node);
  REQUIRE(plugin != nullptr, "");
  EXPECT(change_shape(*plugin, node) != 0, "float32");
  EXPECT(one_error_saying("'half_sums' is for float16", &errors), errors);
  node.type = DataType::kHALF;
  EXPECT(change_shape(*plugin, node) == 0, "float16");
  EXPECT(change_shape(*reload(library, node, *plugin), node) == 0, "from a plan");
  node.drop("half_sums");
  const PluginPointer before = create(library, node);
  REQUIRE(before != nullptr, "");
  EXPECT(Runtime(*before).getFieldsToSerialize()->nbFields ==
             Runtime(*plugin).getFieldsToSerialize()->nbFields - 1,
         "no field unless asked");
  EXPECT(std::strcmp(build(*plugin).getTimingCacheID(), build(*before).getTimingCacheID()) != 0,
         "another timing");
  EXPECT(take_log().empty(), "");
}

// The parser's own attributes, and 64-bit integers as a network built by hand may give.
CASE(fields_of_other_origins) {
  const Library library;
  const Node node = cross_node();
  std::vector<nvinfer1::PluginField> fields = fields_of(node);
  fields.emplace_back("plugin_version", "1", nvinfer1::PluginFieldType::kCHAR, 1);
  fields.emplace_back("plugin_namespace", "posemamba", nvinfer1::PluginFieldType::kCHAR, 9);
  const int64_t order[] = {0, 1, 2, 3};
  fields[2] = {"order", order, nvinfer1::PluginFieldType::kINT64, 4};
  const PluginPointer plugin = create(library, node, &fields);
  REQUIRE(plugin != nullptr, "");
  const PluginPointer usual = create(library, node);
  EXPECT(std::strcmp(build(*plugin).getTimingCacheID(), build(*usual).getTimingCacheID()) == 0, "");
  EXPECT(take_log().empty(), "");
}
