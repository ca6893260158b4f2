// y = x where x >= 0, alpha * x elsewhere: ONNX's LeakyRelu, TensorFlow's tf.nn.leaky_relu.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "sdk/data_type.hpp"

namespace tf2trt::plugins {

// Puts the work on `stream` and returns; never synchronises, so it may be captured into a CUDA graph. `x` and `y` are
// device memory, aligned to their elements (to 16 bytes for the fast path); `y` is `x` or does not overlap it. An
// empty tensor is done at once.
// cudaErrorInvalidValue: a null or misaligned pointer, an unknown type, a count under 0. Other values are the
// launch's own.
cudaError_t leaky_relu(void const* x, void* y, DataType type, std::int64_t count, float alpha,
                       cudaStream_t stream) noexcept;

}  // namespace tf2trt::plugins
