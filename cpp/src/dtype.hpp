// nvinfer1::DataType, whose values stand in the tables, to and from DType.
#pragma once

#include "abi/slots.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt::detail {

inline DType to_dtype(abi::Api const& api, std::int32_t value) noexcept {
  using abi::Value;
  constexpr std::pair<Value, DType> kTypes[] = {
      {Value::DataType_kFLOAT, DType::kFloat32}, {Value::DataType_kHALF, DType::kFloat16},
      {Value::DataType_kINT8, DType::kInt8},     {Value::DataType_kINT32, DType::kInt32},
      {Value::DataType_kBOOL, DType::kBool},     {Value::DataType_kUINT8, DType::kUint8},
      {Value::DataType_kFP8, DType::kFloat8},    {Value::DataType_kBF16, DType::kBfloat16},
      {Value::DataType_kINT64, DType::kInt64},   {Value::DataType_kINT4, DType::kInt4},
  };
  for (auto const& [named, dtype] : kTypes) {
    if (value >= 0 && api.raw(named) == value) return dtype;
  }
  return DType::kOther;
}

}  // namespace tf2trt::detail
