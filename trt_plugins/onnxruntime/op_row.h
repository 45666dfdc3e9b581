// An operator on one execution provider as ONNX Runtime's callback table, made from a kernel class
// and a device.
//
// A kernel class has: Params, what its launchers take; kName; kInputs and kOutputs (one letter a
// tensor: 'T' for activations, 'f' for float32, 'i' for int32, 'o' for a float32 output that may be
// absent); kRequired (inputs from there on may be absent);
// `static Status* infer_shape(api, context)`; `Status* read(const KernelInfo*)` for the attributes;
// `Status* bind(KernelContext*, Params*) const`, which checks a call's tensors and makes the
// outputs. It may have kOver, the outputs that may lie over an input (Over), which ONNX Runtime
// does where nobody else reads that input any more. A device has: kProvider and `Status*
// launch(api, context, name, params)`.
#pragma once

#include <array>
#include <cstring>
#include <new>
#include <type_traits>

#include "context.h"
#include "posemamba/scan_v2.h"

namespace posemamba::ort {

// Parameters of an operator of two versions, one of which a call fills.
template <class First, class Second>
struct Versions {
  bool is_second;
  First first;
  Second second;
};

template <class Kernel, class = void>
struct MayLieOver {
  static constexpr std::array<Over, 0> kPairs{};
};
template <class Kernel>
struct MayLieOver<Kernel, std::void_t<decltype(Kernel::kOver)>> {
  static constexpr auto kPairs = Kernel::kOver;
};

// Whether a call is to be made though its first input is empty.
template <class Params>
bool keeps_state(const Params&) {
  return false;
}
// A piece of a sequence without steps hands its state on.
inline bool keeps_state(const Versions<pm_scan_params, pm_stateful_scan_params>& params) {
  const pm_scan_params& scan = params.second.scan;
  return params.is_second && params.second.final_state != nullptr && scan.batch > 0 &&
         scan.channels > 0 && scan.d_state > 0;
}

template <class Kernel, class Device, ElementType Activation>
struct OpRow {
  static void destroy(void* kernel) { delete static_cast<Kernel*>(kernel); }

  static Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
    auto* made = new (std::nothrow) Kernel;
    if (made == nullptr) return CreateStatus(api, kOrtFail, "posemamba: out of memory");
    made->api = api;
    made->dtype = Activation == kOrtFloat ? PM_FLOAT32 : PM_FLOAT16;
    if (Status* error = made->read(info)) {
      delete made;
      return error;
    }
    *kernel = made;
    return nullptr;
  }

  static Status* compute(void* kernel, KernelContext* context) {
    const auto* made = static_cast<const Kernel*>(kernel);
    typename Kernel::Params params;
    PM_ORT_RETURN_IF_ERROR(made->bind(context, &params));
    bool empty = false;  // a batch of no clips: nobody in view
    PM_ORT_RETURN_IF_ERROR(first_input_is_empty(made->api, context, &empty));
    if (empty && !keeps_state(params)) return nullptr;
    return launch(made->api, context, params);
  }

  static ElementType type(char letter) {
    return letter == 'T' ? Activation : letter == 'i' ? kOrtInt32 : kOrtFloat;
  }

  static Characteristic output_characteristic(const CustomOp*, size_t index) {
    return Kernel::kOutputs[index] == 'o' ? kOrtOptional : kOrtRequired;
  }

  static Characteristic input_characteristic(const CustomOp*, size_t index) {
    return index < Kernel::kRequired ? kOrtRequired : kOrtOptional;
  }

  // Shape inference is the one callback that is not handed the interface.
  static Status* infer_shape(const CustomOp* op, ShapeInferContext* context) {
    return Kernel::infer_shape(static_cast<const Row*>(op)->api, context);
  }

  // For one ONNX Runtime, which keeps the pointer for the life of the process. Null without memory.
  static const CustomOp* make(const Api* api) {
    auto* row = new (std::nothrow) Row{};  // callbacks left null are optional in the interface
    if (row == nullptr) return nullptr;
    fill(row);
    row->api = api;
    return row;
  }

 private:
  struct Row : CustomOp {
    const Api* api;
  };

  template <class Params>
  static Status* launch(const Api* api, KernelContext* context, const Params& params) {
    return Device::launch(api, context, Kernel::kName, params);
  }
  template <class First, class Second>
  static Status* launch(const Api* api, KernelContext* context,
                        const Versions<First, Second>& params) {
    return params.is_second ? launch(api, context, params.second)
                            : launch(api, context, params.first);
  }

  // ONNX Runtime wants the inputs and the outputs apart. They stay ours, so nothing is released.
  struct Places {
    static constexpr auto kPairs = MayLieOver<Kernel>::kPairs;
    std::array<int, kPairs.size()> inputs{}, outputs{};
    Places() {
      for (size_t i = 0; i < kPairs.size(); ++i) {
        inputs[i] = kPairs[i].input;
        outputs[i] = kPairs[i].output;
      }
    }
  };

  static size_t may_lie_over(int** inputs, int** outputs) {
    static Places places;
    *inputs = places.inputs.data();
    *outputs = places.outputs.data();
    return Places::kPairs.size();
  }

  static void fill(CustomOp* row) {
    CustomOp& op = *row;
    op.version = kCustomOpVersion;
    op.GetName = [](const CustomOp*) { return Kernel::kName; };
    op.GetExecutionProviderType = [](const CustomOp*) { return Device::kProvider; };
    op.GetInputType = [](const CustomOp*, size_t i) { return type(Kernel::kInputs[i]); };
    op.GetInputTypeCount = [](const CustomOp*) { return std::strlen(Kernel::kInputs); };
    op.GetOutputType = [](const CustomOp*, size_t i) { return type(Kernel::kOutputs[i]); };
    op.GetOutputTypeCount = [](const CustomOp*) { return std::strlen(Kernel::kOutputs); };
    op.KernelDestroy = &destroy;
    op.GetInputCharacteristic = &input_characteristic;
    op.GetOutputCharacteristic = &output_characteristic;
    op.GetInputMemoryType = [](const CustomOp*, size_t) { return kOrtMemTypeDefault; };
    op.CreateKernelV2 = &create;
    op.KernelComputeV2 = &compute;
    op.InferOutputShapeFn = &infer_shape;
    op.GetStartVersion = [](const CustomOp*) { return 1; };
    op.GetEndVersion = [](const CustomOp*) { return 1; };
    op.GetMayInplace = &may_lie_over;
    op.ReleaseMayInplace = [](int*, int*) {};
  }
};

}  // namespace posemamba::ort
