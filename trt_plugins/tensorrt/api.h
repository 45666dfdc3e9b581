// TensorRT's headers, and the promises this library relies on when it is built against one release
// and loaded by another.
//
// From TensorRT 10.3 to 11.1 the plugin classes used here (IPluginV3 and its One* capabilities,
// IPluginCreatorV3One) have the same virtual functions in the same order, and the structs have the
// same layout. ILogger and ILoggerFinder do not: host.cc has their story.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>

// TensorRT-RTX's headers define TRT_MAJOR_RTX; its releases count from 1.
#if !defined(TRT_MAJOR_RTX) && \
    (NV_TENSORRT_MAJOR < 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR < 3))
#error "posemamba's TensorRT plugins need TensorRT 10.3 or later (the headers found are older)"
#endif

namespace posemamba::trt {

static_assert(sizeof(nvinfer1::Dims) == 72 && offsetof(nvinfer1::Dims, d) == 8, "Dims");
static_assert(sizeof(nvinfer1::PluginTensorDesc) == 88 &&
                  offsetof(nvinfer1::PluginTensorDesc, type) == 72 &&
                  offsetof(nvinfer1::PluginTensorDesc, format) == 76,
              "PluginTensorDesc");
static_assert(sizeof(nvinfer1::DynamicPluginTensorDesc) == 304 &&
                  offsetof(nvinfer1::DynamicPluginTensorDesc, max) == 160,
              "DynamicPluginTensorDesc");
static_assert(sizeof(nvinfer1::PluginField) == 24 && offsetof(nvinfer1::PluginField, length) == 20,
              "PluginField");
static_assert(sizeof(nvinfer1::PluginFieldCollection) == 16, "PluginFieldCollection");
static_assert(sizeof(nvinfer1::DimsExprs) == 72, "DimsExprs");

}  // namespace posemamba::trt
