// An operator's adapter as an IPluginV3 and its creator. Nothing here throws, asserts or allocates
// beyond the objects TensorRT asks for; a refusal is a status and one sentence in the log.
#pragma once

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "host.h"
#include "operator.h"
#include "tactics.h"

namespace posemamba::trt {

inline constexpr const char* kPluginNamespace = "posemamba";
inline constexpr int32_t kOk = 0;
inline constexpr int32_t kFailed = -1;

template <class Operator>
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
  using DataType = nvinfer1::DataType;
  using Params = typename Operator::Params;

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

  int32_t getNbOutputs() const noexcept override { return Operator::kOutputCount; }

  int32_t getOutputDataTypes(DataType* outputs, int32_t output_count, const DataType* inputs,
                             int32_t input_count) const noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    if (inputs[0] != DataType::kFLOAT && inputs[0] != DataType::kHALF) {
      return fail("input '%s' is neither float32 nor float16", Operator::kInputs[0].name);
    }
    outputs[0] = inputs[0];
    std::fill(outputs + 1, outputs + Operator::kOutputCount, DataType::kFLOAT);
    return kOk;
  }

  // The first output's shape is the first input's.
  int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count,
                          const nvinfer1::DimsExprs*, int32_t shape_input_count,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder&) noexcept override {
    if (!counts_fit(input_count, output_count)) return kFailed;
    if (shape_input_count != 0) return fail("it takes no shape inputs");
    for (int32_t i = 0; i < input_count; ++i) {
      if (!rank_fits(i, inputs[i].nbDims)) return kFailed;
    }
    outputs[0] = inputs[0];
    for (int32_t i = 1; i < Operator::kOutputCount; ++i) {
      outputs[i].nbDims = Operator::kFurtherRank;
      for (int32_t axis = 0; axis < Operator::kFurtherRank; ++axis) {
        const SizeOf from = Operator::kFurtherDims[axis];
        outputs[i].d[axis] = inputs[from.input].d[from.axis];
      }
    }
    return kOk;
  }

  // TensorRT asks position by position; those after `position` hold nothing yet.
  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    if (position < 0 || position >= input_count + output_count ||
        input_count > Operator::kInputCount) {
      return false;
    }
    const nvinfer1::PluginTensorDesc& asked = tensors[position].desc;
    if (asked.format != nvinfer1::TensorFormat::kLINEAR) return false;
    if (position == 0) return asked.type == DataType::kFLOAT || asked.type == DataType::kHALF;
    return asked.type == type_of(position, input_count, tensors[0].desc.type);
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
    if (!bind({largest, input_count}, inputs[0].desc.type, &params)) return kFailed;
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
    if (!bind({largest, input_count}, inputs[0].desc.type, &params)) return 0;
    return Operator::kWorkspaceLimit(&params);
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
    const nvinfer1::Dims &in = inputs[0].dims, &out = outputs[0].dims;
    if (!std::equal(in.d, in.d + in.nbDims, out.d, out.d + out.nbDims)) {
      return fail("the output's shape differs from that of '%s'", Operator::kInputs[0].name);
    }
    return kOk;
  }

  int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descriptions,
                  const nvinfer1::PluginTensorDesc*, const void* const* inputs,
                  void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
    if (input_count_ == 0) return fail("it is enqueued before any shape was set");
    const nvinfer1::Dims& first = input_descriptions[0].dims;
    if (is_empty(first)) {  // then there is nothing to write, but for the state after no step
      return Operator::kOutputCount == 1 || first.d[0] == 0 || first.d[1] == 0
                 ? kOk
                 : fail("a scan from a state to a state needs a step");
    }
    Params params{};
    if (!bind(input_descriptions, input_count_, &params)) return kFailed;
    Operator::Point(attributes_, inputs, input_count_, outputs, &params);
    const cudaError_t error = Operator::kLaunch(&params, &tuning_, workspace, stream);
    if (error != cudaSuccess) return fail("the launch failed: %s", cudaGetErrorString(error));
    return kOk;
  }

  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    serialized_.nbFields = write_fields(attributes_, Operator::kAttributeCount, fields_);
    serialized_.fields = fields_;
    return &serialized_;
  }

 private:
  Plugin() { std::copy_n(Operator::kAttributes, Operator::kAttributeCount, attributes_); }
  Plugin(const Plugin&) = default;

  bool read(const nvinfer1::PluginFieldCollection* fields) {
    Reason reason;
    if (!read_attributes(fields, attributes_, Operator::kAttributeCount, &reason) ||
        !Operator::check(attributes_, &reason)) {
      fail("%s", reason.text);
      return false;
    }
    const int used =
        std::snprintf(description_, sizeof description_, "posemamba %s ", POSEMAMBA_VERSION);
    return describe(attributes_, Operator::kAttributeCount, description_ + used,
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
        outputs == Operator::kOutputCount) {
      return true;
    }
    fail("it has %d inputs and %d outputs; it takes %d to %d and has %s", inputs, outputs,
         Operator::kRequired, Operator::kInputCount, Operator::kOutputCount == 1 ? "one" : "two");
    return false;
  }

  bool rank_fits(int32_t input, int32_t rank) const {
    const Input& wanted = Operator::kInputs[input];
    if (rank == wanted.rank) return true;
    fail("input '%s' has %d axes, it must have %d", wanted.name, rank, wanted.rank);
    return false;
  }

  static DataType type_of(int32_t position, int32_t input_count, DataType activations) {
    if (position == input_count) return activations;
    if (position > input_count) return DataType::kFLOAT;
    switch (Operator::kInputs[position].type) {
      case Type::kActivation:
        return activations;
      case Type::kInteger:
        return DataType::kINT32;
      case Type::kFloat:
        break;
    }
    return DataType::kFLOAT;
  }

  static bool is_empty(const nvinfer1::Dims& dims) {
    return std::find(dims.d, dims.d + dims.nbDims, 0) != dims.d + dims.nbDims;
  }

  // The launcher's parameters but for the pointers.
  bool bind(const Shapes& shapes, DataType type, Params* params) const {
    for (int32_t i = 0; i < shapes.count; ++i) {
      if (!rank_fits(i, shapes[i].nbDims)) return false;
    }
    Reason reason;
    if (!Operator::Shape(attributes_, shapes, params, &reason)) {
      fail("%s", reason.text);
      return false;
    }
    Operator::dtype(*params) = type == DataType::kHALF ? PM_FLOAT16 : PM_FLOAT32;
    if (Operator::kWorkspaceLimit(params) == 0) {
      fail("the kernels do not take these sizes; posemamba/scan_cuda.h states their limits");
      return false;
    }
    return true;
  }

  bool bind(const nvinfer1::PluginTensorDesc* inputs, int32_t count, Params* params) const {
    nvinfer1::Dims dims[Operator::kInputCount];
    for (int32_t i = 0; i < count; ++i) dims[i] = inputs[i].dims;
    return bind({dims, count}, inputs[0].type, params);
  }

  Attribute attributes_[Operator::kAttributeCount];
  char node_[128] = "";
  char description_[1024] = "";
  pm_cuda_tuning tuning_{};
  int32_t input_count_ = 0;
  Tactics tactics_;
  nvinfer1::PluginField fields_[Operator::kAttributeCount];  // of the last getFieldsToSerialize()
  nvinfer1::PluginFieldCollection serialized_{};
};

template <class Operator>
class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  Creator() {
    for (int32_t i = 0; i < Operator::kAttributeCount; ++i) {
      fields_[i] = nvinfer1::PluginField(Operator::kAttributes[i].name, nullptr,
                                         nvinfer1::PluginFieldType::kINT32, 1);
    }
    collection_.nbFields = Operator::kAttributeCount;
    collection_.fields = fields_;
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
  nvinfer1::PluginField fields_[Operator::kAttributeCount];
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace posemamba::trt
