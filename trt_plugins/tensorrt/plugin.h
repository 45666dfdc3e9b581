// An operator's adapter as an IPluginV3 and its creator. Nothing here throws, asserts or allocates
// beyond the objects TensorRT asks for; a refusal is a status and one sentence in the log.
#pragma once

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <new>

#include "host.h"
#include "operator.h"
#include "tactics.h"

namespace posemamba::trt {

inline constexpr const char* kPluginNamespace = "posemamba";
inline constexpr int32_t kOk = 0;
inline constexpr int32_t kFailed = -1;

// The input that tells the type of a node's activations; no input where all types are fixed.
template <class Operator>
constexpr int32_t activation_of() {
  for (int32_t i = 0; i < Operator::kInputCount; ++i) {
    if (Operator::kInputs[i].type == Type::kActivation) return i;
  }
  return kFixed;
}

template <class Operator>
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
  using DataType = nvinfer1::DataType;
  using Params = typename Operator::Params;
  using Launcher = typename Operator::Launcher;
  static constexpr int32_t kActivation = activation_of<Operator>();
  static constexpr int32_t kOutputCount = std::size(Operator::kOutputs);
  static constexpr int32_t kAttributeCount = Operator::kAttributeCount;

 public:
  // Null, with a line in the log, where the fields make no node of this operator.
  static Plugin* create(const char* node, const nvinfer1::PluginFieldCollection* fields) noexcept {
    auto* plugin = new (std::nothrow) Plugin;
    if (plugin == nullptr) return nullptr;
    std::snprintf(plugin->node_, sizeof plugin->node_, "%s", node == nullptr ? "" : node);
    if (plugin->read(fields)) return plugin;
    delete plugin;
    return nullptr;
  }

  // IPluginV3

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case nvinfer1::PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }

  nvinfer1::IPluginV3* clone() noexcept override { return new (std::nothrow) Plugin(*this); }

  // IPluginV3OneCore

  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return Operator::kVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  // IPluginV3OneBuild

  int32_t getNbOutputs() const noexcept override { return kOutputCount; }

  int32_t getOutputDataTypes(DataType* outputs, int32_t output_count, const DataType* inputs,
                             int32_t input_count) const noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    DataType activations = DataType::kFLOAT;
    if constexpr (kActivation != kFixed) {
      activations = inputs[kActivation];
      if (activations != DataType::kFLOAT && activations != DataType::kHALF) {
        return fail("input '%s' is neither float32 nor float16",
                    Operator::kInputs[kActivation].name);
      }
    }
    for (int32_t i = 0; i < input_count; ++i) {
      if (Operator::kInputs[i].type == Type::kHalf && inputs[i] != DataType::kHALF) {
        return fail("input '%s' must be float16", Operator::kInputs[i].name);
      }
    }
    for (int32_t i = 0; i < kOutputCount; ++i) {
      outputs[i] = data_type(Operator::kOutputs[i].type, activations);
    }
    return kOk;
  }

  int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count,
                          const nvinfer1::DimsExprs*, int32_t shape_input_count,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder& expressions) noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    if (shape_input_count != 0) return fail("it takes no shape inputs");
    for (int32_t i = 0; i < input_count; ++i) {
      if (!rank_fits(i, inputs[i].nbDims)) return kFailed;
    }
    for (int32_t i = 0; i < kOutputCount; ++i) {
      const Output& output = Operator::kOutputs[i];
      outputs[i].nbDims = output.rank;
      for (int32_t axis = 0; axis < output.rank; ++axis) {
        outputs[i].d[axis] = size_of(output.dims[axis], inputs, expressions);
        if (outputs[i].d[axis] == nullptr) return fail("output %d's shape cannot be told", i);
      }
    }
    return kOk;
  }

  // TensorRT asks position by position; those after `position` hold nothing yet.
  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    if (position < 0 || position >= input_count + output_count ||
        input_count > Operator::kInputCount || output_count > kOutputCount) {
      return false;
    }
    const nvinfer1::PluginTensorDesc& asked = tensors[position].desc;
    if (asked.format != nvinfer1::TensorFormat::kLINEAR) return false;
    DataType activations = DataType::kFLOAT;
    if constexpr (kActivation != kFixed) {
      if (position == kActivation) {
        return asked.type == DataType::kFLOAT || asked.type == DataType::kHALF;
      }
      activations = tensors[kActivation].desc.type;
    }
    const Type type = position < input_count ? Operator::kInputs[position].type
                                             : Operator::kOutputs[position - input_count].type;
    return asked.type == data_type(type, activations);
  }

  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc*,
                          int32_t output_count) noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    nvinfer1::Dims largest[Operator::kInputCount];
    bool known = true;
    for (int32_t i = 0; i < input_count; ++i) {
      largest[i] = inputs[i].max;
      known = known && std::all_of(largest[i].d, largest[i].d + largest[i].nbDims,
                                   [](int64_t d) { return d >= 0; });
    }
    tactics_ = Tactics{};
    input_count_ = input_count;
    if (!known) return kOk;  // before a profile is chosen
    Params params{};
    if (!bind({largest, input_count}, activations_of(inputs), &params)) return kFailed;
    tactics_ = tactics_for<Operator>(params);
    return kOk;
  }

  // Enough for every shape of the profile, every tactic and every device an engine may run on.
  size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc*,
                          int32_t output_count) const noexcept override {
    if (!counts_fit(input_count, output_count)) return 0;
    nvinfer1::Dims largest[Operator::kInputCount];
    for (int32_t i = 0; i < input_count; ++i) largest[i] = inputs[i].max;
    Params params{};
    if (!bind({largest, input_count}, activations_of(inputs), &params)) return 0;
    return Launcher::workspace_limit(params);
  }

  int32_t getNbTactics() noexcept override { return tactics_.count; }

  int32_t getValidTactics(int32_t* tactics, int32_t count) noexcept override {
    if (count != tactics_.count) return fail("it has %d tactics, not %d", tactics_.count, count);
    std::copy_n(tactics_.numbers.begin(), count, tactics);
    return kOk;
  }

  const char* getTimingCacheID() noexcept override { return description_; }
  const char* getMetadataString() noexcept override { return description_; }

  // IPluginV3OneRuntime

  int32_t setTactic(int32_t tactic) noexcept override {
    pm_cuda_tuning tuning;
    if (!tuning_of(tactic, &tuning)) return fail("there is no tactic %d", tactic);
    tuning_ = tuning;
    return kOk;
  }

  int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                        const nvinfer1::PluginTensorDesc* outputs,
                        int32_t output_count) noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    input_count_ = input_count;
    Params params{};
    if (is_empty(inputs[0].dims)) return kOk;
    if (!bind(inputs, input_count, &params)) return kFailed;
    nvinfer1::Dims dims[Operator::kInputCount];
    for (int32_t i = 0; i < input_count; ++i) dims[i] = inputs[i].dims;
    for (int32_t i = 0; i < kOutputCount; ++i) {
      Reason reason;
      const nvinfer1::Dims wanted = dims_of(Operator::kOutputs[i], {dims, input_count});
      if (!match_output(i, outputs[i].dims, wanted, &reason)) return fail("%s", reason.text);
    }
    return kOk;
  }

  int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descriptions,
                  const nvinfer1::PluginTensorDesc* output_descriptions, const void* const* inputs,
                  void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
    if (input_count_ == 0) return fail("it is enqueued before any shape was set");
    // A piece of a sequence without steps hands its state on.
    const bool all_empty = std::all_of(output_descriptions, output_descriptions + kOutputCount,
                                       [](const auto& one) { return is_empty(one.dims); });
    if (all_empty) return kOk;
    Params params{};
    if (!bind(input_descriptions, input_count_, &params)) return kFailed;
    Operator::point(attributes_.data(), inputs, input_count_, outputs, &params);
    const cudaError_t error = Launcher::launch(params, tuning_, workspace, stream);
    if (error != cudaSuccess) return fail("the launch failed: %s", cudaGetErrorString(error));
    return kOk;
  }

  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    serialized_.nbFields = write_fields(attributes_.data(), kAttributeCount, fields_.data());
    serialized_.fields = fields_.data();
    return &serialized_;
  }

 private:
  Plugin() { std::copy_n(std::data(Operator::kAttributes), kAttributeCount, attributes_.data()); }
  Plugin(const Plugin&) = default;

  bool read(const nvinfer1::PluginFieldCollection* fields) {
    Reason reason;
    if (!read_attributes(fields, attributes_.data(), kAttributeCount, &reason) ||
        !Operator::check(attributes_.data(), &reason)) {
      fail("%s", reason.text);
      return false;
    }
    const int used =
        std::snprintf(description_, sizeof description_, "posemamba %s ", POSEMAMBA_VERSION);
    return describe(attributes_.data(), kAttributeCount, description_ + used,
                    sizeof description_ - static_cast<size_t>(used));
  }

  // Logs a sentence about this node; the status to return.
  [[gnu::format(printf, 2, 3)]] int32_t fail(const char* format, ...) const {
    char text[sizeof(Reason::text)];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_error("%s%s%s%s: %s", Operator::kName, node_[0] == 0 ? "" : " '", node_,
              node_[0] == 0 ? "" : "'", text);
    return kFailed;
  }

  bool counts_fit(int32_t inputs, int32_t outputs) const {
    if (inputs >= Operator::kRequired && inputs <= Operator::kInputCount &&
        outputs == kOutputCount) {
      return true;
    }
    fail("it has %d inputs and %d outputs; it takes %d to %d and has %s", inputs, outputs,
         Operator::kRequired, Operator::kInputCount, kOutputCount == 1 ? "one" : "two");
    return false;
  }

  bool rank_fits(int32_t input, int32_t rank) const {
    const Input& wanted = Operator::kInputs[input];
    if (rank == wanted.rank) return true;
    fail("input '%s' has %d axes, it must have %d", wanted.name, rank, wanted.rank);
    return false;
  }

  static DataType data_type(Type type, DataType activations) {
    switch (type) {
      case Type::kActivation:
        return activations;
      case Type::kInteger:
        return DataType::kINT32;
      case Type::kHalf:
        return DataType::kHALF;
      case Type::kFloat:
        break;
    }
    return DataType::kFLOAT;
  }

  // Of inputs as the builder describes them, and as an execution context does.
  static DataType activations_of(const nvinfer1::DynamicPluginTensorDesc* inputs) {
    return kActivation == kFixed ? DataType::kFLOAT : inputs[std::max(kActivation, 0)].desc.type;
  }
  static DataType activations_of(const nvinfer1::PluginTensorDesc* inputs) {
    return kActivation == kFixed ? DataType::kFLOAT : inputs[std::max(kActivation, 0)].type;
  }

  // A size of an output as an expression of the inputs'.
  static const nvinfer1::IDimensionExpr* size_of(const SizeOf& size,
                                                 const nvinfer1::DimsExprs* inputs,
                                                 nvinfer1::IExprBuilder& expressions) {
    if (size.input == kFixed) return expressions.constant(size.times);
    const nvinfer1::IDimensionExpr* from = inputs[size.input].d[size.axis];
    return size.times == 1 ? from
                           : expressions.operation(nvinfer1::DimensionOperation::kPROD, *from,
                                                   *expressions.constant(size.times));
  }

  static bool is_empty(const nvinfer1::Dims& dims) {
    return std::find(dims.d, dims.d + dims.nbDims, 0) != dims.d + dims.nbDims;
  }

  // The launcher's parameters but for the pointers.
  bool bind(const Shapes& shapes, DataType type, Params* params) const {
    for (int32_t i = 0; i < shapes.count; ++i) {
      if (!rank_fits(i, shapes[i].nbDims)) return false;
    }
    if constexpr (kActivation != kFixed) {
      Operator::dtype(*params) = type == DataType::kHALF ? PM_FLOAT16 : PM_FLOAT32;
    }
    Reason reason;
    if (!Operator::shape(attributes_.data(), shapes, params, &reason)) {
      fail("%s", reason.text);
      return false;
    }
    if (!Launcher::takes(*params)) {
      fail("the kernels do not take these sizes; posemamba/scan_cuda.h states their limits");
      return false;
    }
    return true;
  }

  bool bind(const nvinfer1::PluginTensorDesc* inputs, int32_t count, Params* params) const {
    nvinfer1::Dims dims[Operator::kInputCount];
    for (int32_t i = 0; i < count; ++i) dims[i] = inputs[i].dims;
    return bind({dims, count}, activations_of(inputs), params);
  }

  std::array<Attribute, kAttributeCount> attributes_;
  char node_[128] = "";
  char description_[1024] = "";
  pm_cuda_tuning tuning_{};
  int32_t input_count_ = 0;
  Tactics tactics_;
  std::array<nvinfer1::PluginField, kAttributeCount> fields_;  // of the last getFieldsToSerialize()
  nvinfer1::PluginFieldCollection serialized_{};
};

template <class Operator>
class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  Creator() {
    std::transform(std::begin(Operator::kAttributes), std::end(Operator::kAttributes),
                   fields_.begin(), [](const Attribute& a) {
                     return nvinfer1::PluginField(a.name, nullptr, a.field_type(), 1);
                   });
    collection_.nbFields = Operator::kAttributeCount;
    collection_.fields = fields_.data();
  }

  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return Operator::kVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }

  // An engine's fields are those getFieldsToSerialize() gave, read as a node's are.
  nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase) noexcept override {
    return Plugin<Operator>::create(name, fields);
  }

 private:
  std::array<nvinfer1::PluginField, Operator::kAttributeCount> fields_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace posemamba::trt
