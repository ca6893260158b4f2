// What each kernel.cu needs around its kernels: conversions, the choice of the type, checks. Compiled by nvcc only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "sdk/data_type.hpp"

// For the extern "C" entry points, all that libtf2trt_plugins.so exports.
#define TF2TRT_PLUGINS_EXPORT extern "C" __attribute__((visibility("default")))

namespace tf2trt::plugins {

// Arithmetic is done in FP32 and rounded once, to nearest even.
inline __device__ float to_float(float value) { return value; }
inline __device__ float to_float(__half value) { return __half2float(value); }
inline __device__ float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T>
__device__ T from_float(float value);
template <>
inline __device__ float from_float<float>(float value) {
  return value;
}
template <>
inline __device__ __half from_float<__half>(float value) {
  return __float2half_rn(value);
}
template <>
inline __device__ __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// 0 for an unknown type.
constexpr std::size_t size_of(DataType type) noexcept {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat16:
    case DataType::kBfloat16:
      return 2;
  }
  return 0;
}

// launch(static_cast<T*>(nullptr)) for the C++ type T of `type`; then the launch's error.
template <class Launch>
cudaError_t launch_for(DataType type, Launch launch) {
  switch (type) {
    case DataType::kFloat32:
      launch(static_cast<float*>(nullptr));
      break;
    case DataType::kFloat16:
      launch(static_cast<__half*>(nullptr));
      break;
    case DataType::kBfloat16:
      launch(static_cast<__nv_bfloat16*>(nullptr));
      break;
    default:
      return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

inline bool is_aligned(void const* pointer, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

// Are both there, and aligned to their elements?
inline bool are_tensors(void const* x, void const* y, DataType type) noexcept {
  return x != nullptr && y != nullptr && is_aligned(x, size_of(type)) && is_aligned(y, size_of(type));
}

// Blocks for `work` items at `per_block` a block. All kernels stride over the grid, so any cap is right.
inline unsigned block_count(std::int64_t work, std::int64_t per_block, std::int64_t cap) noexcept {
  std::int64_t const blocks = (work - 1) / per_block + 1;
  return static_cast<unsigned>(blocks < cap ? blocks : cap);
}

}  // namespace tf2trt::plugins
