// The block's operators: what the registry, the builder and an execution context ask of them.
#include <cmath>
#include <cstring>

#include "block_node.h"
#include "check.h"
#include "expression.h"

using namespace harness;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

namespace {

constexpr DataType kTypes[] = {DataType::kFLOAT, DataType::kHALF,  DataType::kINT8,
                               DataType::kINT32, DataType::kINT64, DataType::kBF16};

int32_t change_shape(nvinfer1::IPluginV3& plugin, const BlockNode& node) {
  const auto all = describe(node);
  return Runtime(plugin).onShapeChange(all.data(), node.count(), all.data() + node.count(),
                                       node.made());
}

// A workspace as the builder reserves it, at least a byte, which may not be written beyond.
std::unique_ptr<Buffer> workspace_of(nvinfer1::IPluginV3& plugin, const BlockNode& node) {
  const auto all = describe_profile(node);
  return std::make_unique<Buffer>(build(plugin).getWorkspaceSize(
      all.data(), node.count(), all.data() + node.count(), node.made()));
}

int32_t enqueue(nvinfer1::IPluginV3& plugin, const BlockNode& node, const BlockData& data,
                void* workspace, cudaStream_t stream) {
  const auto all = describe(node);
  return Runtime(plugin).enqueue(all.data(), all.data() + node.count(), data.given().data(),
                                 data.made().data(), workspace, stream);
}

}  // namespace

CASE(block_creators) {
  const Library library;
  for (const BlockNode& node : block_nodes()) {
    nvinfer1::IPluginCreatorV3One* creator = library.creator(node.op);
    REQUIRE(creator != nullptr, node.op);
    const nvinfer1::PluginFieldCollection* fields = creator->getFieldNames();
    const auto wanted = fields_of(node);
    REQUIRE(fields->nbFields == static_cast<int32_t>(wanted.size()), node.op);
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT(std::strcmp(fields->fields[i].name, wanted[i].name) == 0, node.op);
      EXPECT(fields->fields[i].type == wanted[i].type, node.op + " " + wanted[i].name);
    }
    const PluginPointer plugin = create(library, node);
    REQUIRE(plugin != nullptr, node.what);
    EXPECT(build(*plugin).getNbOutputs() == node.made(), node.what);
    EXPECT(node.op == core(*plugin).getPluginName(), node.what);
  }
  EXPECT(take_log().empty(), "");
}

// Of every type at every position the one is taken that the operator's table says.
CASE(block_formats) {
  const Library library;
  for (const BlockNode& node : block_nodes()) {
    const PluginPointer plugin = create(library, node);
    bool chosen = false;  // whether the type of the activations is told yet
    const int32_t all = node.count() + node.made();
    for (int32_t i = 0; i < all; ++i) {
      const auto wanted = describe_profile(node);
      const bool of_activation =
          node.op == "ConvSilu" || node.op == "GatedNorm" ? i == 0 : node.op == "AddNorm" && i == 1;
      for (const DataType type : kTypes) {
        auto asked = wanted;
        asked[static_cast<size_t>(i)].desc.type = type;
        const bool right = type == wanted[static_cast<size_t>(i)].desc.type;
        const bool free =
            of_activation && !chosen && (type == DataType::kFLOAT || type == DataType::kHALF);
        EXPECT(build(*plugin).supportsFormatCombination(i, asked.data(), node.count(),
                                                        node.made()) == (right || free),
               node.what + " position " + std::to_string(i));
        asked[static_cast<size_t>(i)].desc.format = nvinfer1::TensorFormat::kCHW32;
        EXPECT(
            !build(*plugin).supportsFormatCombination(i, asked.data(), node.count(), node.made()),
            node.what);
      }
      chosen = chosen || of_activation;
    }
  }
}

CASE(block_output_types_and_shapes) {
  const Library library;
  for (const BlockNode& node : block_nodes({3, 7, 17, 128})) {
    const PluginPointer plugin = create(library, node);
    std::vector<DataType> inputs, outputs(node.outputs.size(), DataType::kBOOL);
    Expressions builder;
    std::vector<nvinfer1::DimsExprs> shapes, made(node.outputs.size());
    for (const BlockTensor& t : node.inputs) {
      inputs.push_back(t.type);
      shapes.push_back(builder.of(t.dims));
    }
    EXPECT(build(*plugin).getOutputDataTypes(outputs.data(), node.made(), inputs.data(),
                                             node.count()) == 0,
           node.what);
    EXPECT(build(*plugin).getOutputShapes(shapes.data(), node.count(), nullptr, 0, made.data(),
                                          node.made(), builder) == 0,
           node.what);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      EXPECT(outputs[i] == node.outputs[i].type, node.what + " " + node.outputs[i].name);
      EXPECT(Expressions::Values(made[i]) == node.outputs[i].dims,
             node.what + " " + node.outputs[i].name);
    }
    // The fused operators are of float16 alone.
    std::string errors;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (node.what != node.op || inputs[i] != DataType::kHALF) continue;
      std::vector<DataType> wrong = inputs;
      wrong[i] = DataType::kFLOAT;
      EXPECT(build(*plugin).getOutputDataTypes(outputs.data(), node.made(), wrong.data(),
                                               node.count()) != 0,
             node.what);
      EXPECT(one_error_saying("'" + node.inputs[i].name + "' must be float16", &errors), errors);
    }
  }
  EXPECT(take_log().empty(), "");
}

CASE(block_shape_changes) {
  const Library library;
  for (const BlockNode& node : block_nodes()) {
    const PluginPointer plugin = create(library, node);
    EXPECT(change_shape(*plugin, node) == 0, node.what);
    std::string errors;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      for (size_t axis = 0; axis < node.inputs[i].dims.size(); ++axis) {
        // What may be longer: the position's table, and xz, of whose channels some are read.
        const std::string& name = node.inputs[i].name;
        const bool table = name == "position" && axis == 0;
        const bool strided = name == "xz" && axis == 3 && node.op != "ConvProj";
        BlockNode wrong = node;
        wrong.inputs[i].dims[axis] += table || (strided && node.inputs.size() < 10) ? -4 : 1;
        const int32_t status = change_shape(*plugin, wrong);
        const bool shorter_xz = strided && node.inputs.size() < 10;
        if (shorter_xz) {
          EXPECT(status == 0, node.what + " takes an xz of another width");
          continue;
        }
        EXPECT(status != 0, node.what + " " + name + " " + std::to_string(axis));
        EXPECT(one_error_saying(node.op + " 'blocks.0': ", &errors), errors);
      }
      BlockNode flat = node;
      flat.inputs[i].dims.push_back(1);
      EXPECT(change_shape(*plugin, flat) != 0, node.what);
      EXPECT(one_error_saying("axes", &errors), errors);
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      BlockNode wrong = node;
      wrong.outputs[i].dims.back() += 1;
      EXPECT(change_shape(*plugin, wrong) != 0, node.what);
      EXPECT(one_error_saying("output " + std::to_string(i) + "'s shape", &errors), errors);
    }
  }
}

// The widths the kernels are compiled for, and the one sentence for another.
CASE(block_widths) {
  const Library library;
  for (const int64_t width : {64, 128, 256}) {
    for (const BlockNode& node : block_nodes({1, 5, 17, width})) {
      EXPECT(change_shape(*create(library, node), node) == 0, node.what);
    }
  }
  EXPECT(take_log().empty(), "");
  std::string errors;
  for (const BlockNode& node : block_nodes({1, 5, 17, 96})) {
    const bool fused = node.what.find("float") == std::string::npos;
    EXPECT((change_shape(*create(library, node), node) != 0) == fused, node.what);
    if (fused) EXPECT(one_error_saying("d_model is 96", &errors), errors);
  }
  for (const BlockNode& node : block_nodes({1, 5, 17, 1040})) {
    if (node.op != "GatedNorm" && node.op != "AddNorm") continue;
    EXPECT(change_shape(*create(library, node), node) != 0, node.what);
    EXPECT(one_error_saying("it must be 1 to 1024", &errors), errors);
  }
  BlockNode alone = block_nodes()[3];  // AddNorm with a shared norm
  alone.inputs.pop_back();
  EXPECT(change_shape(*create(library, alone), alone) != 0, "");
  EXPECT(one_error_saying("come together", &errors), errors);
}

CASE(block_fields) {
  const Library library;
  const int32_t whole = 1;
  const float two[2] = {1e-5f, 1e-5f};
  for (const BlockNode& node : block_nodes()) {
    const PluginPointer plugin = create(library, node);
    const nvinfer1::PluginFieldCollection* kept = Runtime(*plugin).getFieldsToSerialize();
    const std::vector<PluginField> fields = fields_of(node);
    REQUIRE(kept->nbFields == static_cast<int32_t>(fields.size()), node.what);
    for (size_t i = 0; i < fields.size(); ++i) {
      const PluginField& one = kept->fields[i];
      EXPECT(one.type == fields[i].type && one.length == fields[i].length &&
                 std::memcmp(one.data, fields[i].data, 4u * static_cast<size_t>(one.length)) == 0,
             node.what + " " + one.name);
    }
    std::string errors;
    for (size_t i = node.ints.size(); i < fields.size(); ++i) {
      for (const float value : {-1e-9f, 1.0f, std::nanf(""), INFINITY}) {
        std::vector<PluginField> wrong = fields;
        wrong[i].data = &value;
        EXPECT(create(library, node, &wrong) == nullptr, node.what);
        EXPECT(one_error_saying(fields[i].name, &errors), errors);
      }
      for (const PluginField& field :
           {PluginField{fields[i].name, &whole, PluginFieldType::kINT32, 1},
            PluginField{fields[i].name, two, PluginFieldType::kFLOAT32, 2},
            PluginField{fields[i].name, nullptr, PluginFieldType::kFLOAT32, 1}}) {
        std::vector<PluginField> wrong = fields;
        wrong[i] = field;
        EXPECT(create(library, node, &wrong) == nullptr, node.what);
        EXPECT(one_error_saying("one float32", &errors), errors);
      }
      std::vector<PluginField> without = fields;
      without.erase(without.begin() + static_cast<long>(i));
      EXPECT(create(library, node, &without) == nullptr, node.what);
      EXPECT(one_error_saying(std::string("'") + fields[i].name + "' is missing", &errors), errors);
    }
    // Another number is another timing.
    BlockNode other = node;
    if (other.reals.empty()) continue;
    other.reals[0].second *= 1.0000002f;
    const PluginPointer changed = create(library, other);
    EXPECT(std::strcmp(build(*plugin).getTimingCacheID(), build(*changed).getTimingCacheID()) != 0,
           node.what);
  }
}

CASE(block_refused_launches) {
  const Library library;
  for (const BlockNode& node : block_nodes()) {
    const PluginPointer plugin = create(library, node);
    const auto tensors = describe(node);
    const std::vector<const void*> inputs(node.inputs.size(), nullptr);
    std::vector<void*> outputs(node.outputs.size(), nullptr);
    std::string errors;
    for (const char* word : {"before any shape", "the launch failed"}) {
      EXPECT(Runtime(*plugin).enqueue(tensors.data(), tensors.data() + node.count(), inputs.data(),
                                      outputs.data(), nullptr, nullptr) != 0,
             node.what);
      EXPECT(one_error_saying(word, &errors), errors);
      EXPECT(change_shape(*plugin, node) == 0, node.what);
    }
    BlockNode empty = node;
    for (auto* all : {&empty.inputs, &empty.outputs}) {
      for (BlockTensor& t : *all) {
        if (t.dims.size() == 4 && t.dims[3] != 8) t.dims[0] = 0;
      }
    }
    const auto nothing = describe(empty);
    EXPECT(Runtime(*plugin).enqueue(nothing.data(), nothing.data() + node.count(), inputs.data(),
                                    outputs.data(), nullptr, nullptr) == 0,
           node.what + ": nobody in view");
    EXPECT(take_log().empty(), node.what);
  }
}

CASE(gpu_block_outputs_equal_the_launchers) {
  const Library library;
  cudaStream_t stream = nullptr;
  EXPECT(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess, "");
  for (const BlockSizes& sizes : {BlockSizes{}, BlockSizes{1, 27, 17, 128, 16, 8},
                                  BlockSizes{3, 5, 17, 256}, BlockSizes{8, 40, 17, 64}}) {
    for (const BlockNode& node : block_nodes(sizes)) {
      const BlockData direct(node), played(node);
      const PluginPointer plugin = create(library, node);
      const std::unique_ptr<Buffer> workspace = workspace_of(*plugin, node);
      REQUIRE(launch_directly(node, direct, workspace->data()), node.what);
      workspace->poison();
      const PluginPointer attached(Runtime(*plugin).attachToContext(nullptr));
      EXPECT(change_shape(*attached, node) == 0, node.what);
      EXPECT(enqueue(*attached, node, played, workspace->data(), stream) == 0, node.what);
      EXPECT(cudaStreamSynchronize(stream) == cudaSuccess, node.what);
      EXPECT(played.results() == direct.results(), node.what);
      EXPECT(workspace->guards_intact(), node.what);
      for (const auto& one : played.inputs) EXPECT(one->guards_intact(), node.what);
    }
  }
  cudaStreamDestroy(stream);
  EXPECT(take_log().empty(), "");
}
