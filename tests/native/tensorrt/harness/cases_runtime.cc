// What an engine does with a plugin, up to the launch.
#include <cstring>
#include <thread>

#include "check.h"
#include "node.h"

using namespace harness;

namespace {

bool same_fields(nvinfer1::IPluginV3& a, nvinfer1::IPluginV3& b) {
  const nvinfer1::PluginFieldCollection* one = Runtime(a).getFieldsToSerialize();
  const nvinfer1::PluginFieldCollection* two = Runtime(b).getFieldsToSerialize();
  if (one->nbFields != two->nbFields) return false;
  for (int32_t i = 0; i < one->nbFields; ++i) {
    const nvinfer1::PluginField &f = one->fields[i], &g = two->fields[i];
    if (std::strcmp(f.name, g.name) != 0 || f.type != g.type || f.length != g.length ||
        std::memcmp(f.data, g.data, static_cast<size_t>(f.length) * sizeof(int32_t)) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

CASE(serialisation) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    const PluginPointer plugin = create(library, node);
    const nvinfer1::PluginFieldCollection* fields = Runtime(*plugin).getFieldsToSerialize();
    REQUIRE(fields->nbFields == static_cast<int32_t>(node.attributes.size()), op);
    for (int32_t i = 0; i < fields->nbFields; ++i) {
      const Attribute& a = node.attributes[static_cast<size_t>(i)];
      const nvinfer1::PluginField& f = fields->fields[i];
      REQUIRE(a.name == f.name && f.type == nvinfer1::PluginFieldType::kINT32, a.name);
      REQUIRE(f.length == static_cast<int32_t>(a.values.size()), a.name);
      EXPECT(std::memcmp(f.data, a.values.data(), a.values.size() * sizeof(int32_t)) == 0, a.name);
    }
    const PluginPointer loaded = reload(library, node, *plugin);
    REQUIRE(loaded != nullptr, op);
    EXPECT(same_fields(*plugin, *loaded), op);
    EXPECT(change_shape(*loaded, node) == 0, op);

    Node bare = node;
    bare.attributes.clear();
    const PluginPointer empty = create(library, bare);
    const PluginPointer again = reload(library, bare, *empty);
    REQUIRE(again != nullptr, op);
    EXPECT(Runtime(*again).getFieldsToSerialize()->nbFields == 0, "what was absent stays absent");
  }
  EXPECT(take_log().empty(), "");
}

// A clone and a context's plugin outlive what they were made from.
CASE(clones) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    PluginPointer original = create(library, node);
    const PluginPointer reference = create(library, node);
    const PluginPointer clone(original->clone());
    const PluginPointer attached(Runtime(*original).attachToContext(nullptr));
    REQUIRE(clone != nullptr && attached != nullptr, op);
    Runtime(*original).getFieldsToSerialize();
    const PluginPointer late(original->clone());
    original.reset();
    for (nvinfer1::IPluginV3* copy : {clone.get(), attached.get(), late.get()}) {
      EXPECT(same_fields(*copy, *reference), op);
      EXPECT(change_shape(*copy, node) == 0, op);
      EXPECT(configure(*copy, node, node) == 0, op);
    }
  }
  EXPECT(take_log().empty(), "");
}

CASE(shape_changes) {
  const Library library;
  for (const std::string& op : operators()) {
    const PluginPointer plugin = create(library, make_node(op));
    for (const int64_t frames : {1, 2, 243, 3}) {
      EXPECT(change_shape(*plugin, make_node(op, {frames % 5 + 1, frames})) == 0, op);
    }
    Node empty = make_node(op, {0, 9});
    EXPECT(change_shape(*plugin, empty) == 0, "an empty batch");
    EXPECT(take_log().empty(), op);

    std::string errors;
    const Node node = make_node(op);
    for (const Tensor& t : node.inputs) {
      for (size_t axis = 0; axis < t.dims.size(); ++axis) {
        Node wrong = node;
        wrong.input(t.name).dims[axis] += 1;
        EXPECT(change_shape(*plugin, wrong) != 0, op + " " + t.name + " " + std::to_string(axis));
        EXPECT(one_error_saying(op + " 'blocks.0/scan': ", &errors), errors);
      }
    }
    auto tensors = describe(node);
    tensors.back().dims.d[0] += 1;  // the output alone
    EXPECT(Runtime(*plugin).onShapeChange(tensors.data(), node.count(),
                                          tensors.data() + node.count(), 1) != 0,
           op);
    EXPECT(one_error_saying("output 0's shape", &errors), errors);
  }
  // Attributes that contradict the inputs.
  for (const char* name : {"d_state", "dt_rank"}) {
    Node node = cross_node();
    node.attribute(name)[0] += 1;
    std::string errors;
    EXPECT(change_shape(*create(library, node), node) != 0, name);
    EXPECT(one_error_saying("'x_dbl' is", &errors), errors);
  }
  for (const char* name : {"order", "limb_index"}) {
    Node node = cross_node();
    for (const char* list : {"order", "reverse", "limb_mask"}) {
      if (std::strcmp(name, "order") == 0) node.attribute(list).pop_back();
    }
    if (std::strcmp(name, "order") != 0) node.attribute(name).pop_back();
    std::string errors;
    EXPECT(change_shape(*create(library, node), node) != 0, name);
    EXPECT(one_error_saying(name, &errors), errors);
  }
  Node node = plain_node();
  node.attribute("reverse") = {0, 1, 1};
  std::string errors;
  EXPECT(change_shape(*create(library, node), node) != 0, "");
  EXPECT(one_error_saying("'reverse' has 3 values for 2 groups", &errors), errors);
}

// D, delta_bias and z may be left off, from the end.
CASE(optional_inputs) {
  const Library library;
  Node node = plain_node();
  const PluginPointer plugin = create(library, node);
  for (; node.count() >= 5; node.inputs.pop_back()) {
    EXPECT(change_shape(*plugin, node) == 0, std::to_string(node.count()));
    EXPECT(configure(*plugin, node, node) == 0, std::to_string(node.count()));
  }
  EXPECT(take_log().empty(), "");
  std::string errors;
  EXPECT(change_shape(*plugin, node) != 0, "C is not optional");
  EXPECT(one_error_saying("4 inputs", &errors), errors);
}

// A launch that cannot be made is a status and a sentence: no pointers, here also no device.
CASE(refused_launches) {
  const Library library;
  for (const std::string& op : operators()) {
    const Node node = make_node(op);
    const PluginPointer plugin = create(library, node);
    const auto tensors = describe(node);
    const std::vector<const void*> inputs(node.inputs.size(), nullptr);
    void* output = nullptr;
    const auto enqueue = [&](const std::vector<nvinfer1::PluginTensorDesc>& descriptions) {
      return Runtime(*plugin).enqueue(descriptions.data(), descriptions.data() + node.count(),
                                      inputs.data(), &output, nullptr, nullptr);
    };
    std::string errors;
    EXPECT(enqueue(tensors) != 0, op);
    EXPECT(one_error_saying("before any shape", &errors), errors);
    EXPECT(change_shape(*plugin, node) == 0, op);
    EXPECT(enqueue(tensors) != 0, op);
    EXPECT(one_error_saying("the launch failed: invalid argument", &errors), errors);
    const Node empty = make_node(op, {0, 9});
    EXPECT(enqueue(describe(empty)) == 0, "nothing to do");
    EXPECT(take_log().empty(), op);
  }
}

// Execution contexts on threads of their own, each with its plugin, some of them failing.
CASE(threads) {
  const Library library;
  const PluginPointer shared = create(library, cross_node());
  std::vector<std::thread> contexts;
  std::vector<int32_t> good(8, 0);
  for (size_t t = 0; t < good.size(); ++t) {
    contexts.emplace_back([&library, &shared, &good, t] {
      bool all = true;
      for (int repeat = 0; repeat < 50; ++repeat) {
        const PluginPointer mine(Runtime(*shared).attachToContext(nullptr));
        all = all && change_shape(*mine, cross_node({1 + repeat % 3, 1 + repeat})) == 0;
        Node wrong = cross_node();
        wrong.attribute("order")[0] = 7;
        all = all && create(library, wrong) == nullptr;
      }
      good[t] = all ? 1 : 0;
    });
  }
  for (std::thread& context : contexts) context.join();
  for (const int32_t one : good) EXPECT(one == 1, "");
  EXPECT(take_log().size() == 8 * 50, "one line a refusal, none lost");
}
