// TensorRT's expression builder for output shapes: expressions that know their value for one
// assignment of the unknown dimensions, so that a shape can be read off.
#pragma once

#include <NvInferRuntime.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace harness {

class Expression final : public nvinfer1::IDimensionExpr, nvinfer1::apiv::VDimensionExpr {
 public:
  Expression(int64_t value, bool constant) : value_(value), constant_(constant) { mImpl = this; }
  int64_t value() const { return value_; }

 private:
  bool isConstant() const override { return constant_; }
  int64_t getConstantValue() const override { return value_; }
  bool isSizeTensor() const override { return false; }
  int64_t value_;
  bool constant_;
};

class Expressions final : public nvinfer1::IExprBuilder, nvinfer1::apiv::VExprBuilder {
 public:
  Expressions() { mImpl = this; }

  // A tensor's dimensions: batch and the one after it unknown to the builder, the rest constant.
  nvinfer1::DimsExprs of(const std::vector<int64_t>& dims) {
    nvinfer1::DimsExprs out{};
    out.nbDims = static_cast<int32_t>(dims.size());
    for (size_t i = 0; i < dims.size(); ++i) out.d[i] = make(dims[i], i > 1);
    return out;
  }

  static std::vector<int64_t> Values(const nvinfer1::DimsExprs& dims) {
    std::vector<int64_t> values;
    for (int32_t i = 0; i < dims.nbDims; ++i) {
      values.push_back(static_cast<const Expression*>(dims.d[i])->value());
    }
    return values;
  }

 private:
  const nvinfer1::IDimensionExpr* make(int64_t value, bool is_constant) {
    made_.push_back(std::make_unique<Expression>(value, is_constant));
    return made_.back().get();
  }

  const nvinfer1::IDimensionExpr* constant(int64_t value) override { return make(value, true); }

  const nvinfer1::IDimensionExpr* operation(nvinfer1::DimensionOperation op,
                                            const nvinfer1::IDimensionExpr& first,
                                            const nvinfer1::IDimensionExpr& second) override {
    const int64_t a = static_cast<const Expression&>(first).value();
    const int64_t b = static_cast<const Expression&>(second).value();
    const bool known = first.isConstant() && second.isConstant();
    switch (op) {
      case nvinfer1::DimensionOperation::kSUM:
        return make(a + b, known);
      case nvinfer1::DimensionOperation::kPROD:
        return make(a * b, known);
      case nvinfer1::DimensionOperation::kMAX:
        return make(std::max(a, b), known);
      case nvinfer1::DimensionOperation::kMIN:
        return make(std::min(a, b), known);
      case nvinfer1::DimensionOperation::kSUB:
        return make(a - b, known);
      case nvinfer1::DimensionOperation::kEQUAL:
        return make(a == b, known);
      case nvinfer1::DimensionOperation::kLESS:
        return make(a < b, known);
      case nvinfer1::DimensionOperation::kFLOOR_DIV:
        return make(a / b, known);
      case nvinfer1::DimensionOperation::kCEIL_DIV:
        return make((a + b - 1) / b, known);
    }
    return nullptr;
  }

  const nvinfer1::IDimensionExpr* declareSizeTensor(int32_t, const nvinfer1::IDimensionExpr&,
                                                    const nvinfer1::IDimensionExpr&) override {
    return nullptr;  // no output here has a size of its own
  }

  std::vector<std::unique_ptr<Expression>> made_;
};

}  // namespace harness
