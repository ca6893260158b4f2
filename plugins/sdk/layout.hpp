// NVIDIA's plain structures that TensorRT hands to plugins, as they lie in memory. tools/abi compares them with the
// headers.
#pragma once

#include <array>
#include <cstdint>

#include "abi/types.hpp"

namespace tf2trt::plugins {

// nvinfer1::PluginField and its types.
enum class FieldType : std::int32_t {
  kFloat16 = 0,
  kFloat32 = 1,
  kFloat64 = 2,
  kInt8 = 3,
  kInt16 = 4,
  kInt32 = 5,
  kChar = 6,
  kInt64 = 10
};

struct PluginField {
  char const* name;
  void const* data;
  FieldType type;
  std::int32_t length;  // elements
};

struct PluginFieldCollection {
  std::int32_t count;
  PluginField const* fields;
};

// nvinfer1::PluginTensorDesc; D is abi::Dims32 on TensorRT 8, abi::Dims64 from 10 on.
template <class D>
struct TensorDesc {
  D dims;
  std::int32_t type;
  std::int32_t format;
  float scale;
};

// nvinfer1::DynamicPluginTensorDesc.
struct DynamicTensorDesc8 {
  TensorDesc<abi::Dims32> desc;
  abi::Dims32 min, max;
};
struct DynamicTensorDesc10 {
  TensorDesc<abi::Dims64> desc;
  abi::Dims64 min, max, opt;
};

// nvinfer1::DimsExprs: pointers to IDimensionExpr.
struct DimsExprs {
  std::int32_t count;
  std::array<void const*, abi::kMaxDims> extents;
};

}  // namespace tf2trt::plugins
