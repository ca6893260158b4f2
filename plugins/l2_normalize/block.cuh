// What the kernels share: sums across threads, the factor of a sum, rows that start anywhere.
#pragma once

#include <algorithm>
#include <cstdint>

#include "l2_normalize/kernel.hpp"
#include "l2_normalize/problem.hpp"
#include "sdk/launch.hpp"

namespace tf2trt::plugins {

constexpr int kWarp = 32;

// Elements a pack: 16 bytes of the wider type, but 8 at most: more floats at a time take too many registers.
template <class In, class Out>
constexpr int kWidth = sizeof(In) > 2 || sizeof(Out) > 2 ? 4 : 8;

template <class Out>
__device__ float factor_of(float sum, Norm const& norm) {
  float const squares = sum == 0 ? 0 : sum * norm.square_gain;  // 0 even where the gain is infinite
  float inverse;
  if (norm.lp) {
    inverse = squares == 0 ? 0 : rsqrtf(squares);
  } else {
    inverse = rsqrtf(squares < norm.epsilon ? norm.epsilon : squares);  // fmaxf would turn a NaN into epsilon
  }
  float const factor = inverse * norm.gain;
  return sizeof(Out) == 1 ? fminf(factor, kInt8Factor) : factor;
}

template <class T, int N>
__device__ float sum_of_squares(Pack<T, N> const& pack, float sum = 0) {
  float values[N];
  to_floats(pack, values);
#pragma unroll
  for (int i = 0; i < N; ++i) sum += values[i] * values[i];
  return sum;
}

template <class Out, class In, int N>
__device__ Pack<Out, N> scaled(Pack<In, N> const& pack, float factor) {
  float values[N];
  to_floats(pack, values);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] *= factor;
  return from_floats<Out>(values);
}

template <class Out, class In>
__device__ Out scaled(In value, float factor) {
  return from_float<Out>(to_float(value) * factor);
}

// The sum over each group of `lanes` (a power of two) neighbouring threads of a warp. All of the warp take part.
inline __device__ float lanes_sum(float value, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  }
  return value;
}

// The sum over a block of whole warps, for each of its threads. `sums` is the block's; another block_sum must come
// between two uses of it.
inline __device__ float block_sum(float value, float (&sums)[kWarp]) {
  int const lane = threadIdx.x % kWarp;
  value = lanes_sum(value, kWarp);
  if (lane == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  return lanes_sum(lane < static_cast<int>(blockDim.x) / kWarp ? sums[lane] : 0, kWarp);
}

inline __device__ float block_sum(float value) {  // once a kernel
  __shared__ float sums[kWarp];
  return block_sum(value, sums);
}

// A range of elements that starts anywhere: up to `head` comes before the first pack, from `tail` on what is left after
// the last. Both are shorter than a pack, so that each of a block's first 2N threads has one such element at most.
template <int N, class T>
struct Edges {
  __device__ Edges(T const* x, std::int64_t count) {
    constexpr unsigned kPack = sizeof(T) * N;
    auto const past = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(x) % kPack);
    head = static_cast<int>((kPack - past) % kPack / sizeof(T));
    if (head > count) head = static_cast<int>(count);
    packs = (count - head) / N;
    tail = head + packs * N;
    auto const thread = static_cast<int>(threadIdx.x);
    if (thread < N) {
      mine = thread < head ? thread : -1;
    } else {
      mine = thread < 2 * N && tail + thread - N < count ? tail + thread - N : -1;
    }
  }
  int head;
  std::int64_t packs;
  std::int64_t tail;
  std::int64_t mine;  // this thread's element, -1 for none
};

}  // namespace tf2trt::plugins
