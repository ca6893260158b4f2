// The element types of the kernels. The numbers are those of TensorRT's own DataType, the same in 8, 10 and 11.
#pragma once

#include <cstdint>

namespace tf2trt::plugins {

enum class DataType : std::int32_t { kFloat32 = 0, kFloat16 = 1, kInt8 = 2, kBfloat16 = 7 };

}  // namespace tf2trt::plugins
