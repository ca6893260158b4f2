#include "leaky_relu/kernel.hpp"
#include "sdk/launch.hpp"

namespace tf2trt::plugins {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 1 << 12;

template <class T>
struct alignas(16) Vector {  // one 16-byte load or store
  static constexpr int kWidth = 16 / sizeof(T);
  T at[kWidth];
};

template <class T>
__device__ T leaky(T value, float alpha) {
  float const x = to_float(value);
  return x < 0 ? from_float<T>(alpha * x) : value;
}

// The first `vectors` vectors as such, the rest one by one.
template <class T>
__global__ void __launch_bounds__(kThreads)
    leaky_relu_kernel(T const* x, T* y, std::int64_t count, std::int64_t vectors, float alpha) {
  std::int64_t const first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = first; i < vectors; i += step) {
    Vector<T> vector = reinterpret_cast<Vector<T> const*>(x)[i];
#pragma unroll
    for (int k = 0; k < Vector<T>::kWidth; ++k) vector.at[k] = leaky(vector.at[k], alpha);
    reinterpret_cast<Vector<T>*>(y)[i] = vector;
  }
  for (std::int64_t i = vectors * Vector<T>::kWidth + first; i < count; i += step) y[i] = leaky(x[i], alpha);
}

}  // namespace

cudaError_t leaky_relu(void const* x, void* y, DataType type, std::int64_t count, float alpha,
                       cudaStream_t stream) noexcept {
  if (size_of(type) == 0 || count < 0) return cudaErrorInvalidValue;
  if (count == 0) return cudaSuccess;
  if (!are_tensors(x, y, type)) return cudaErrorInvalidValue;
  return launch_for(type, [&](auto* typed) {
    using T = std::remove_pointer_t<decltype(typed)>;
    bool const fast = is_aligned(x, sizeof(Vector<T>)) && is_aligned(y, sizeof(Vector<T>));
    std::int64_t const vectors = fast ? count / Vector<T>::kWidth : 0;
    std::int64_t const work = vectors > 0 ? vectors : count;  // the tail is shorter than a vector
    leaky_relu_kernel<<<block_count(work, kThreads, kMaxBlocks), kThreads, 0, stream>>>(
        static_cast<T const*>(x), static_cast<T*>(y), count, vectors, alpha);
  });
}

}  // namespace tf2trt::plugins

TF2TRT_PLUGINS_EXPORT int tf2trt_leaky_relu(void const* x, void* y, std::int32_t type, std::int64_t count, float alpha,
                                            void* stream) {
  using namespace tf2trt::plugins;
  return leaky_relu(x, y, static_cast<DataType>(type), count, alpha, static_cast<cudaStream_t>(stream));
}
