// y = x * rsqrt(max(sum(x^2), epsilon)) over one range of axes: TensorFlow's tf.math.l2_normalize.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "sdk/data_type.hpp"

namespace tf2trt::plugins {

// A contiguous tensor seen as (outer, axis, inner): what lies before the axes to normalise over, they themselves
// (adjacent ones are one axis), what lies after.
struct L2Extents {
  std::int64_t outer;
  std::int64_t axis;
  std::int64_t inner;
};

// Puts the work on `stream` and returns; never synchronises, so it may be captured into a CUDA graph. `x` and `y` are
// device memory, aligned to their elements; `y` is `x` or does not overlap it. An empty tensor is done at once.
// cudaErrorInvalidValue: a null or misaligned pointer, an unknown type, an extent under 0, more than 2^63 - 1
// elements, an epsilon that is negative or NaN. Other values are the launch's own.
cudaError_t l2_normalize(void const* x, void* y, DataType type, L2Extents const& extents, float epsilon,
                         cudaStream_t stream) noexcept;

}  // namespace tf2trt::plugins
