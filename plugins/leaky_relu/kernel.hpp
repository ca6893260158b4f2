// y = x where x >= 0, alpha * x elsewhere: ONNX's LeakyRelu, TensorFlow's tf.nn.leaky_relu.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "sdk/data_type.hpp"

namespace tf2trt::plugins {

// Of INT8 tensors only: real value = scale * q, and q = clamp(round-half-even(real / scale), -128, 127), TensorRT's
// rule.
struct LeakyReluScales {
  float input = 1;
  float output = 1;
};

// Puts one kernel on `stream` and returns; never synchronises, so it may be captured into a CUDA graph. `x` and `y`
// are device memory of `count` elements, aligned to their elements; `y` is `x` or does not overlap it. Fast where both
// lie equally far past a 16-byte boundary. NaN passes. `alpha` may be negative or over 1. INT8 is multiplied by
// input / output and alpha * input / output, each rounded once to FP32. An empty tensor is done at once.
// cudaErrorInvalidValue, before any call of CUDA: a null or misaligned pointer, an unknown type, a count under 0, for
// INT8 a scale that is not positive and finite or an alpha that is NaN. Other values are the launch's own.
cudaError_t leaky_relu(void const* x, void* y, DataType type, std::int64_t count, float alpha, LeakyReluScales scales,
                       cudaStream_t stream) noexcept;

}  // namespace tf2trt::plugins
