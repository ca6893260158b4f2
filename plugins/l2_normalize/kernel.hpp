// y = x * rsqrt(max(sum(x^2), epsilon)) over any axes: TensorFlow's tf.math.l2_normalize, and y = x / ||x||: ONNX's
// LpNormalization with p = 2.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "sdk/data_type.hpp"

namespace tf2trt::plugins {

struct L2Normalization {
  DataType input, output;  // FP32, FP16, BF16: the same type out. INT8 in: INT8, FP32 or FP16 out.
  // Of INT8 values only: real value = scale * q, and q = clamp(round-half-even(real / scale), -128, 127), TensorRT's
  // rule. A NaN, which INT8 cannot hold, is 0 (a row of zeros with epsilon 0).
  float input_scale = 1, output_scale = 1;
  float epsilon = 1e-12F;         // TensorFlow's default
  bool lp_normalization = false;  // ONNX's formula: epsilon is not looked at, and a row of zeros gives zeros
};

// Enough for every shape: the partial sums of rows that several blocks share.
inline constexpr std::size_t kL2WorkspaceBytes = std::size_t{1} << 18U;

// Normalises a contiguous tensor of `rank` 1 to 8 and extents `dims` over the axes whose bits are set in `axes`,
// adjacent or not. Sums in FP32. NaN passes, and a row whose sum overflows to infinity gives zeros, with NaN where x is
// infinite, as TensorFlow's formula has it.
//
// Puts the work on `stream` and returns; never allocates or synchronises, so it may be captured into a CUDA graph. One
// kernel, but a memset and a cooperative kernel for rows that no block can hold, and several kernels for rows that the
// whole GPU cannot hold either. `x` and `y` are device memory, aligned to their elements; fast where both lie equally
// far past a 16-byte boundary. `y` is `x`, if the types have one size, or does not overlap it. `workspace`:
// kL2WorkspaceBytes of device memory, aligned to 16 bytes, free to use until the work is done; its content does not
// matter. A tensor without elements is done at once.
// cudaErrorInvalidValue, before any call of CUDA: a null or misaligned pointer, types that do not go together, an
// extent under 0, an element count or a size in bytes over 2^63 - 1, no axis or one beyond the rank, an epsilon that is
// negative or NaN (unless lp_normalization), for INT8 a scale that is not positive and finite. Other values are the
// launch's own.
cudaError_t l2_normalize(void const* x, void* y, L2Normalization const& how, std::int64_t const* dims, int rank,
                         std::uint32_t axes, void* workspace, cudaStream_t stream) noexcept;

}  // namespace tf2trt::plugins
