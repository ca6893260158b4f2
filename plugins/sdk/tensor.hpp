// A tensor as an operator sees it, the same for every TensorRT.
#pragma once

#include <array>
#include <cstdint>

#include "abi/types.hpp"
#include "sdk/data_type.hpp"

namespace tf2trt::plugins {

// How elements lie in memory; TensorRT's own numbers. A format other than kLinear keeps a group of channels together
// and pads the last group.
enum class Format : std::int32_t { kLinear = 0, kChw2 = 1, kHwc8 = 2, kChw4 = 3, kChw16 = 4, kChw32 = 5 };

struct Tensor {
  int rank = 0;
  std::array<std::int64_t, abi::kMaxDims> dims{};  // -1: not known yet, while an engine is built
  DataType type = DataType::kFloat32;
  Format format = Format::kLinear;
  float scale = 1;  // of INT8: real value = scale * stored value
};

// The elements that lie in memory, padding included. -1 for a format that is not in the list above, or one that the
// rank is too small for.
std::int64_t stored_elements(Tensor const& tensor) noexcept;

}  // namespace tf2trt::plugins
