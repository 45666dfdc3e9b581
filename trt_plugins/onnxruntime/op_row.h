// An operator as ONNX Runtime's callback table, made from a kernel class.
//
// A kernel class has: kName, kInputs (one letter an input: 'T' for activations, 'f' for float
// parameters), kRequired (inputs from there on may be absent), `Status* Read(const KernelInfo*)`
// for the attributes and `Status* Compute(KernelContext*) const`.
#pragma once

#include <cstring>
#include <new>

#include "context.h"

namespace posemamba::ort {

template <class Kernel, ElementType Activation>
struct OpRow {
  static void Destroy(void* kernel) { delete static_cast<Kernel*>(kernel); }

  static Status* Create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
    auto* made = new (std::nothrow) Kernel;
    if (made == nullptr) return CreateStatus(api, kOrtFail, "posemamba: out of memory");
    made->api = api;
    made->dtype = Activation == kOrtFloat ? PM_FLOAT32 : PM_FLOAT16;
    if (Status* error = made->Read(info)) {
      delete made;
      return error;
    }
    *kernel = made;
    return nullptr;
  }

  static Status* Compute(void* kernel, KernelContext* context) {
    return static_cast<const Kernel*>(kernel)->Compute(context);
  }

  static ElementType InputType(const CustomOp*, size_t index) {
    return Kernel::kInputs[index] == 'T' ? Activation : kOrtFloat;
  }

  static Characteristic InputCharacteristic(const CustomOp*, size_t index) {
    return index < Kernel::kRequired ? kOrtRequired : kOrtOptional;
  }

  // Shape inference is the one callback that is not handed the interface.
  static Status* InferShape(const CustomOp*, ShapeInferContext* context) {
    return SameShapeAsFirstInput(api_, context);
  }

  // ONNX Runtime keeps the pointer for the life of the process.
  static const CustomOp* Get(const Api* api) {
    api_ = api;
    static const CustomOp op = Make();
    return &op;
  }

 private:
  static inline const Api* api_ = nullptr;

  static CustomOp Make() {
    CustomOp op{};  // callbacks left null are optional in the interface
    op.version = kApiVersion;
    op.GetName = [](const CustomOp*) { return Kernel::kName; };
    op.GetExecutionProviderType = [](const CustomOp*) -> const char* {
      return "CPUExecutionProvider";
    };
    op.GetInputType = &InputType;
    op.GetInputTypeCount = [](const CustomOp*) { return std::strlen(Kernel::kInputs); };
    op.GetOutputType = [](const CustomOp*, size_t) { return Activation; };
    op.GetOutputTypeCount = [](const CustomOp*) { return size_t{1}; };
    op.KernelDestroy = &Destroy;
    op.GetInputCharacteristic = &InputCharacteristic;
    op.GetOutputCharacteristic = [](const CustomOp*, size_t) { return kOrtRequired; };
    op.GetInputMemoryType = [](const CustomOp*, size_t) { return kOrtMemTypeDefault; };
    op.CreateKernelV2 = &Create;
    op.KernelComputeV2 = &Compute;
    op.InferOutputShapeFn = &InferShape;
    op.GetStartVersion = [](const CustomOp*) { return 1; };
    op.GetEndVersion = [](const CustomOp*) { return 1; };
    return op;
  }
};

}  // namespace posemamba::ort
