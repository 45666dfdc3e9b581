// Version 2 of both operators: its types, its second output, and launches whose answer is plain.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "check.h"
#include "device.h"

using namespace harness;
using nvinfer1::Dims;
using nvinfer1::PluginTensorDesc;

namespace {

constexpr int64_t kChannels = 8;

// A node's tensors on the device with their descriptions, in order.
struct Tensors {
  std::vector<PluginTensorDesc> descriptions;
  std::vector<std::unique_ptr<Buffer>> buffers;

  void add(std::vector<int64_t> dims, DataType type, const void* values, size_t bytes) {
    descriptions.push_back({dims_of(dims), type, nvinfer1::TensorFormat::kLINEAR, 1.0f});
    buffers.push_back(std::make_unique<Buffer>(bytes));
    if (values != nullptr) {
      cudaMemcpy(buffers.back()->data(), values, bytes, cudaMemcpyHostToDevice);
    }
  }
  void floats(std::vector<int64_t> dims, float value) {
    int64_t count = 1;
    for (const int64_t d : dims) count *= d;
    const std::vector<float> values(static_cast<size_t>(count), value);
    add(dims, DataType::kFLOAT, values.data(), values.size() * sizeof(float));
  }
};

PluginPointer create_second(const Library& library, const char* op,
                            std::vector<nvinfer1::PluginField> fields) {
  nvinfer1::IPluginCreatorV3One* creator = library.creator(op, "2");
  if (creator == nullptr) return nullptr;
  const nvinfer1::PluginFieldCollection collection{static_cast<int32_t>(fields.size()),
                                                   fields.data()};
  return PluginPointer(
      creator->createPlugin("second", &collection, nvinfer1::TensorRTPhase::kBUILD));
}

// Runs a node whose last `outputs` tensors are outputs; their values.
std::vector<std::vector<float>> run(nvinfer1::IPluginV3& plugin, const Tensors& all,
                                    size_t outputs) {
  const size_t count = all.buffers.size() - outputs;
  const auto inputs = static_cast<int32_t>(count), made = static_cast<int32_t>(outputs);
  const PluginTensorDesc* first = all.descriptions.data();
  EXPECT(Runtime(plugin).onShapeChange(first, inputs, first + count, made) == 0, "shapes");
  std::vector<nvinfer1::DynamicPluginTensorDesc> sizes;
  for (const PluginTensorDesc& one : all.descriptions) {
    sizes.push_back({one, one.dims, one.dims, one.dims});
  }
  for (int32_t i = 0; i < inputs + made; ++i) {
    EXPECT(build(plugin).supportsFormatCombination(i, sizes.data(), inputs, made),
           std::to_string(i));
  }
  const Buffer workspace(
      build(plugin).getWorkspaceSize(sizes.data(), inputs, sizes.data() + count, made));
  std::vector<const void*> given;
  std::vector<void*> results;
  for (size_t i = 0; i < count; ++i) given.push_back(all.buffers[i]->data());
  for (size_t i = count; i < all.buffers.size(); ++i) results.push_back(all.buffers[i]->data());
  EXPECT(Runtime(plugin).enqueue(first, first + count, given.data(), results.data(),
                                 workspace.data(), nullptr) == 0,
         "enqueue");
  EXPECT(cudaDeviceSynchronize() == cudaSuccess, "");
  EXPECT(workspace.guards_intact(), "");
  std::vector<std::vector<float>> found;
  for (size_t i = count; i < all.buffers.size(); ++i) {
    const std::vector<unsigned char> bytes = all.buffers[i]->bytes();
    const auto* values = reinterpret_cast<const float*>(bytes.data());
    found.emplace_back(values, values + bytes.size() / sizeof(float));
    EXPECT(all.buffers[i]->guards_intact(), "");
  }
  return found;
}

bool all_are(const float* values, size_t count, float wanted) {
  return std::all_of(values, values + count,
                     [wanted](float v) { return v > wanted - 1e-4f && v < wanted + 1e-4f; });
}

}  // namespace

// dt is 30 (softplus of a bias above 20), nothing decays, B = C = 1, D = 0: h grows by 30 u a step.
CASE(gpu_version_2_walks_tables) {
  const Library library;
  const PluginPointer plugin = create_second(library, "CrossSelectiveScan", {});
  REQUIRE(plugin != nullptr, "");
  Tensors all;
  all.floats({1, 3, 1, kChannels}, 1.0f);  // x
  all.floats({1, 3, 1, 3}, 1.0f);          // x_dbl
  all.floats({1, kChannels, 1}, 0.0f);     // dt_weight
  all.floats({1, kChannels}, 30.0f);       // dt_bias
  all.floats({1, kChannels, 1}, 0.0f);     // A
  all.floats({1, kChannels}, 0.0f);        // D
  const int32_t visits[] = {0, 0, -1, 2};  // a repeat, an idle step; position 1 is left out
  all.add({1, 4}, DataType::kINT32, visits, sizeof visits);
  all.add({1, 3, 1, kChannels}, DataType::kFLOAT, nullptr, 3 * kChannels * sizeof(float));
  const std::vector<float> y = run(*plugin, all, 1)[0];
  EXPECT(all_are(y.data(), kChannels, 30.0f + 60.0f), std::to_string(y[0]));
  EXPECT(all_are(y.data() + kChannels, kChannels, 0.0f), std::to_string(y[kChannels]));
  EXPECT(all_are(y.data() + 2 * kChannels, kChannels, 90.0f), std::to_string(y[2 * kChannels]));
}

// dt is 1, nothing decays, B = C = 1: h is what it was and the sum of u. `gated` 0 leaves z alone.
CASE(gpu_version_2_hands_states_on) {
  const Library library;
  const int32_t no = 0;
  const PluginPointer plugin = create_second(
      library, "SelectiveScan", {{"gated", &no, nvinfer1::PluginFieldType::kINT32, 1}});
  REQUIRE(plugin != nullptr, "");
  EXPECT(build(*plugin).getNbOutputs() == 2, "");
  Tensors all;
  all.floats({1, kChannels, 2}, 1.0f);  // u
  all.floats({1, kChannels, 2}, 1.0f);  // delta
  all.floats({kChannels, 1}, 0.0f);     // A
  all.floats({1, 1, 1, 2}, 1.0f);       // B
  all.floats({1, 1, 1, 2}, 1.0f);       // C
  all.floats({kChannels}, 0.0f);        // D
  all.floats({kChannels}, 0.0f);        // delta_bias
  all.floats({1, kChannels, 2}, 7.0f);  // z
  all.floats({1, kChannels, 1}, 5.0f);  // initial_state
  all.add({1, kChannels, 2}, DataType::kFLOAT, nullptr, 2 * kChannels * sizeof(float));
  all.add({1, kChannels, 1}, DataType::kFLOAT, nullptr, kChannels * sizeof(float));
  const std::vector<std::vector<float>> found = run(*plugin, all, 2);
  for (size_t c = 0; c < kChannels; ++c) {
    EXPECT(all_are(&found[0][2 * c], 1, 6.0f) && all_are(&found[0][2 * c + 1], 1, 7.0f), "y");
  }
  EXPECT(all_are(found[1].data(), kChannels, 7.0f), "final_state");
}
