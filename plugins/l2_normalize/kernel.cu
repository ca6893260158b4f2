#include "l2_normalize/kernel.hpp"
#include "sdk/launch.hpp"

namespace tf2trt::plugins {
namespace {

constexpr int kWarp = 32;
constexpr int kWarpsPerBlock = 8;
constexpr int kLongRowThreads = 512;
constexpr std::int64_t kShortRow = 1024;  // elements: up to here a warp takes a row, above a block
constexpr std::int64_t kMaxBlocks = 1 << 15;

__device__ float square(float value) { return value * value; }

// Not fmaxf, which would turn the sum of a row with a NaN into epsilon.
__device__ float inverse_norm(float sum, float epsilon) { return rsqrtf(sum < epsilon ? epsilon : sum); }

__device__ float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// inner == 1, short rows: a warp each.
template <class T>
__global__ void __launch_bounds__(kWarp* kWarpsPerBlock)
    short_rows(T const* x, T* y, std::int64_t rows, std::int64_t width, float epsilon) {
  std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kWarpsPerBlock;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.y; row < rows;
       row += step) {
    T const* from = x + row * width;
    T* to = y + row * width;
    float sum = 0;
    for (std::int64_t i = threadIdx.x; i < width; i += kWarp) sum += square(to_float(from[i]));
    float const scale = inverse_norm(warp_sum(sum), epsilon);
    for (std::int64_t i = threadIdx.x; i < width; i += kWarp) to[i] = from_float<T>(to_float(from[i]) * scale);
  }
}

// inner == 1, long rows: a block each.
template <class T>
__global__ void __launch_bounds__(kLongRowThreads)
    long_rows(T const* x, T* y, std::int64_t rows, std::int64_t width, float epsilon) {
  constexpr int kWarps = kLongRowThreads / kWarp;
  __shared__ float sums[kWarps];
  int const lane = threadIdx.x % kWarp;
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    T const* from = x + row * width;
    T* to = y + row * width;
    float sum = 0;
    for (std::int64_t i = threadIdx.x; i < width; i += kLongRowThreads) sum += square(to_float(from[i]));
    sum = warp_sum(sum);
    if (lane == 0) sums[threadIdx.x / kWarp] = sum;
    __syncthreads();
    float const scale = inverse_norm(warp_sum(lane < kWarps ? sums[lane] : 0), epsilon);
    for (std::int64_t i = threadIdx.x; i < width; i += kLongRowThreads) {
      to[i] = from_float<T>(to_float(from[i]) * scale);
    }
    __syncthreads();  // the next row overwrites `sums`
  }
}

// inner > 1: a block takes 32 neighbouring columns (contiguous in memory within one outer index), and its
// blockDim.y warps share their lengths.
template <class T>
__global__ void __launch_bounds__(kWarp* kWarp) columns(T const* x, T* y, L2Extents extents, float epsilon) {
  __shared__ float sums[kWarp][kWarp];
  std::int64_t const count = extents.outer * extents.inner;
  std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kWarp;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kWarp; first < count; first += step) {
    std::int64_t const column = first + threadIdx.x;
    bool const is_real = column < count;
    std::int64_t const start = column / extents.inner * extents.axis * extents.inner + column % extents.inner;
    float sum = 0;
    if (is_real) {
      for (std::int64_t i = threadIdx.y; i < extents.axis; i += blockDim.y) {
        sum += square(to_float(x[start + i * extents.inner]));
      }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    float total = 0;
    for (int i = 0; i < blockDim.y; ++i) total += sums[i][threadIdx.x];
    float const scale = inverse_norm(total, epsilon);
    if (is_real) {
      for (std::int64_t i = threadIdx.y; i < extents.axis; i += blockDim.y) {
        y[start + i * extents.inner] = from_float<T>(to_float(x[start + i * extents.inner]) * scale);
      }
    }
    __syncthreads();  // the next columns overwrite `sums`
  }
}

template <class T>
void launch(T const* x, T* y, L2Extents const& extents, float epsilon, cudaStream_t stream) {
  if (extents.inner > 1) {
    std::int64_t const count = extents.outer * extents.inner;
    int warps = 1;
    while (warps < kWarp && warps * 8 < extents.axis) warps *= 2;
    columns<<<block_count(count, kWarp, kMaxBlocks), dim3(kWarp, warps), 0, stream>>>(x, y, extents, epsilon);
  } else if (extents.axis > kShortRow) {
    unsigned const blocks = block_count(extents.outer, 1, kMaxBlocks);
    long_rows<<<blocks, kLongRowThreads, 0, stream>>>(x, y, extents.outer, extents.axis, epsilon);
  } else {
    unsigned const blocks = block_count(extents.outer, kWarpsPerBlock, kMaxBlocks);
    short_rows<<<blocks, dim3(kWarp, kWarpsPerBlock), 0, stream>>>(x, y, extents.outer, extents.axis, epsilon);
  }
}

}  // namespace

cudaError_t l2_normalize(void const* x, void* y, DataType type, L2Extents const& extents, float epsilon,
                         cudaStream_t stream) noexcept {
  auto const [outer, axis, inner] = extents;
  if (size_of(type) == 0 || outer < 0 || axis < 0 || inner < 0 || !(epsilon >= 0)) return cudaErrorInvalidValue;
  if (outer == 0 || axis == 0 || inner == 0) return cudaSuccess;
  std::int64_t count = 0;
  if (__builtin_mul_overflow(outer, axis, &count) || __builtin_mul_overflow(count, inner, &count)) {
    return cudaErrorInvalidValue;
  }
  if (!are_tensors(x, y, type)) return cudaErrorInvalidValue;
  return launch_for(type, [&](auto* typed) {
    using T = std::remove_pointer_t<decltype(typed)>;
    launch(static_cast<T const*>(x), static_cast<T*>(y), extents, epsilon, stream);
  });
}

}  // namespace tf2trt::plugins

TF2TRT_PLUGINS_EXPORT int tf2trt_l2_normalize(void const* x, void* y, std::int32_t type, std::int64_t outer,
                                              std::int64_t axis, std::int64_t inner, float epsilon, void* stream) {
  using namespace tf2trt::plugins;
  return l2_normalize(x, y, static_cast<DataType>(type), {outer, axis, inner}, epsilon,
                      static_cast<cudaStream_t>(stream));
}
