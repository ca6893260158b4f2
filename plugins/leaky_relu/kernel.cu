#include <algorithm>

#include "leaky_relu/kernel.hpp"
#include "sdk/launch.hpp"

namespace tf2trt::plugins {
namespace {

constexpr int kThreads = 256;
template <class T>
constexpr int kBatch = sizeof(T) == 1 ? 1 : 4;   // packs a thread has in flight; with 16 INT8 each, threads pay more
constexpr std::int64_t kSmall = 256 * kThreads;  // packs: up to here more threads beat more packs a thread

// FP16 and the like are decided in FP32 too, and what is not negative goes through unchanged, NaN included.
struct Float {
  float alpha;
  __device__ float operator()(float x) const { return x < 0 ? alpha * x : x; }
};

// The factors of positive and negative values are in order with alpha <= 1: then the larger product is meant, else the
// smaller.
template <bool Larger>
struct Int8 {
  float positive, negative;
  __device__ float operator()(float x) const {
    return Larger ? fmaxf(positive * x, negative * x) : fminf(positive * x, negative * x);
  }
};

template <class T, int N, class Function>
__device__ Pack<T, N> apply(Pack<T, N> const& pack, Function function) {
  float values[N];
  to_floats(pack, values);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = function(values[i]);
  return from_floats<T>(values);
}

// The first `head` elements and those after the `packs` packs one by one; by the first block, as both are shorter than
// a pack, unless there are no packs.
template <class T, int Batch, class Function>
__global__ void __launch_bounds__(kThreads)
    leaky_relu_kernel(T const* x, T* y, std::int64_t count, std::int64_t head, std::int64_t packs, Function function) {
  constexpr int kWidth = 16 / sizeof(T);
  using Wide = Pack<T, kWidth>;
  std::int64_t const first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * Batch) + threadIdx.x;
  Wide held[Batch];
#pragma unroll
  for (int i = 0; i < Batch; ++i) {
    std::int64_t const at = first + i * kThreads;
    if (at < packs) held[i] = load<Wide>(x + head + at * kWidth);
  }
#pragma unroll
  for (int i = 0; i < Batch; ++i) {
    std::int64_t const at = first + i * kThreads;
    if (at < packs) store(y + head + at * kWidth, apply(held[i], function));
  }
  if (packs > 0 && blockIdx.x > 0) return;  // at once: for INT8 each instruction counts
  auto const one = [&](std::int64_t at) { store(y + at, apply(Pack<T, 1>{{load<T>(x + at)}}, function).at[0]); };
  std::int64_t const step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  std::int64_t const thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (std::int64_t at = thread; at < head; at += step) one(at);
  for (std::int64_t at = head + packs * kWidth + thread; at < count; at += step) one(at);
}

template <class T, class Function>
cudaError_t launch(void const* x, void* y, std::int64_t count, Function function, cudaStream_t stream) {
  auto const address = reinterpret_cast<std::uintptr_t>(x);
  bool const alike = (address - reinterpret_cast<std::uintptr_t>(y)) % 16 == 0;
  std::int64_t const to_boundary = static_cast<std::int64_t>((16 - address % 16) % 16 / sizeof(T));
  std::int64_t const head = alike ? std::min(to_boundary, count) : 0;
  std::int64_t const packs = alike ? (count - head) / static_cast<std::int64_t>(16 / sizeof(T)) : 0;
  auto const* const from = static_cast<T const*>(x);
  auto* const to = static_cast<T*>(y);
  if (packs <= kSmall) {
    std::int64_t const work = packs > 0 ? packs : count;
    auto const blocks = static_cast<unsigned>(std::min<std::int64_t>(ceil_div(work, kThreads), 1 << 20));
    leaky_relu_kernel<T, 1><<<blocks, kThreads, 0, stream>>>(from, to, count, head, packs, function);
  } else {
    auto const blocks = static_cast<unsigned>(ceil_div(packs, kThreads * kBatch<T>));
    leaky_relu_kernel<T, kBatch<T>><<<blocks, kThreads, 0, stream>>>(from, to, count, head, packs, function);
  }
  return cudaGetLastError();
}

float bounded(double factor) { return static_cast<float>(std::clamp<double>(factor, -kInt8Factor, kInt8Factor)); }

}  // namespace

cudaError_t leaky_relu(void const* x, void* y, DataType type, std::int64_t count, float alpha, LeakyReluScales scales,
                       cudaStream_t stream) noexcept {
  if (size_of(type) == 0 || count < 0) return cudaErrorInvalidValue;
  bool const is_int8 = type == DataType::kInt8;
  if (is_int8 && (!is_scale(scales.input) || !is_scale(scales.output) || std::isnan(alpha))) {
    return cudaErrorInvalidValue;
  }
  if (count == 0) return cudaSuccess;
  if (!is_tensor(x, type) || !is_tensor(y, type)) return cudaErrorInvalidValue;
  switch (type) {
    case DataType::kFloat32:
      return launch<float>(x, y, count, Float{alpha}, stream);
    case DataType::kFloat16:
      return launch<__half>(x, y, count, Float{alpha}, stream);
    case DataType::kBfloat16:
      return launch<__nv_bfloat16>(x, y, count, Float{alpha}, stream);
    case DataType::kInt8:
      break;
  }
  double const ratio = static_cast<double>(scales.input) / scales.output;
  float const positive = bounded(ratio), negative = bounded(alpha * ratio);
  return negative <= positive ? launch<std::int8_t>(x, y, count, Int8<true>{positive, negative}, stream)
                              : launch<std::int8_t>(x, y, count, Int8<false>{positive, negative}, stream);
}

}  // namespace tf2trt::plugins

TF2TRT_PLUGINS_EXPORT int tf2trt_leaky_relu(void const* x, void* y, std::int32_t type, std::int64_t count, float alpha,
                                            float input_scale, float output_scale, void* stream) {
  using namespace tf2trt::plugins;
  return leaky_relu(x, y, static_cast<DataType>(type), count, alpha, {input_scale, output_scale},
                    static_cast<cudaStream_t>(stream));
}
