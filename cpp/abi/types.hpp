// Plain data that crosses the interface by value, and the shape type used above it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tf2trt::abi {

inline constexpr int kMaxDims = 8;

// nvinfer1::Dims of TensorRT 8.
struct Dims32 {
  std::int32_t count;
  std::array<std::int32_t, kMaxDims> extents;
};

// nvinfer1::Dims (Dims64) of TensorRT 10 and 11.
struct Dims64 {
  std::int32_t count;
  std::array<std::int64_t, kMaxDims> extents;
};

static_assert(sizeof(Dims32) == 36 && sizeof(Dims64) == 72, "nvinfer1::Dims has these sizes");

// nvonnxparser::SubGraphCollection_t of TensorRT 8 and 10, which the parser fills and we delete: a class of the C++
// library's. libstdc++'s vector is three pointers under either of its ABIs, and both sides take memory from malloc.
using SubGraph = std::pair<std::vector<std::size_t>, bool>;
using SubGraphs = std::vector<SubGraph>;
static_assert(sizeof(SubGraphs) == 24 && sizeof(SubGraph) == 32, "std::vector and std::pair have these sizes");

using Shape = std::vector<std::int64_t>;

}  // namespace tf2trt::abi
