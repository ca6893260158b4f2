// What each kernel.cu needs around its kernels: conversions, wide loads and stores, checks. Compiled by nvcc only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sdk/data_type.hpp"

// For the extern "C" entry points of the kernels.
#define TF2TRT_PLUGINS_EXPORT extern "C" __attribute__((visibility("default")))

namespace tf2trt::plugins {

// N neighbouring elements, moved by one instruction.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

namespace detail {
template <std::size_t Bytes>
struct WordOf;
template <>
struct WordOf<1> {
  using Type = unsigned char;
};
template <>
struct WordOf<2> {
  using Type = unsigned short;
};
template <>
struct WordOf<4> {
  using Type = unsigned int;
};
template <>
struct WordOf<8> {
  using Type = uint2;
};
template <>
struct WordOf<16> {
  using Type = uint4;
};
}  // namespace detail

// Element or Pack. `last`: nobody reads it again soon, so the caches may drop it first.
template <class T>
__device__ T load(void const* from, bool last = true) {
  using Word = typename detail::WordOf<sizeof(T)>::Type;
  auto const* const words = static_cast<Word const*>(from);
  Word const word = last ? __ldcs(words) : *words;
  T value;
  memcpy(&value, &word, sizeof(T));
  return value;
}
template <class T>
__device__ void store(void* to, T const& value) {
  using Word = typename detail::WordOf<sizeof(T)>::Type;
  Word word;
  memcpy(&word, &value, sizeof(T));
  __stcs(static_cast<Word*>(to), word);
}

// The same value, of which the compiler does not know that it was converted to floats before: it would keep those in
// registers, up to four times as many. `zero` is 0, and no constant.
template <class T>
__device__ T afresh(T value, unsigned zero) {
  if constexpr (sizeof(T) % 4 == 0) {
    unsigned words[sizeof(T) / 4];
    memcpy(words, &value, sizeof(T));
#pragma unroll
    for (unsigned& word : words) word ^= zero;
    memcpy(&value, words, sizeof(T));
  }
  return value;
}

// Arithmetic is done in FP32 and rounded once, to nearest even. An INT8 stands for itself here: scales are the
// kernels' own affair.
inline __device__ float to_float(float value) { return value; }
inline __device__ float to_float(__half value) { return __half2float(value); }
inline __device__ float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
inline __device__ float to_float(std::int8_t value) { return static_cast<float>(value); }

template <class T, int N>
__device__ void to_floats(Pack<T, N> const& pack, float (&values)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = to_float(pack.at[i]);
}
// BF16 is the upper half of a float.
template <int N>
__device__ void to_floats(Pack<__nv_bfloat16, N> const& pack, float (&values)[N]) {
  if constexpr (N % 2 == 0) {
    unsigned words[N / 2];
    memcpy(words, &pack, sizeof(pack));
#pragma unroll
    for (int i = 0; i < N; ++i) {
      values[i] = __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xFFFF0000U);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = to_float(pack.at[i]);
  }
}
// The conversion instruction has an eighth of the multiplier's rate, too slow for four elements a word. 0x4B0000bb is
// the float 2^23 + bb.
template <int N>
__device__ void to_floats(Pack<std::int8_t, N> const& pack, float (&values)[N]) {
  if constexpr (N % 4 == 0) {
    unsigned words[N / 4];
    memcpy(words, &pack, N);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      unsigned const bits = __byte_perm(words[i / 4] ^ 0x80808080U, 0x4B000000U, 0x7540U + i % 4);
      values[i] = __uint_as_float(bits) - 8388736.0F;  // 2^23 + 128
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = to_float(pack.at[i]);
  }
}

// Rounded to nearest even, not saturated yet: 1.5 * 2^23 + value has no room for a fraction. |value| < 2^22, so whoever
// makes INT8 bounds its factors by this one, with which every q but 0 saturates.
constexpr float kInt8Factor = 16384.0F;
inline __device__ int rounded(float value) { return __float_as_int(value + 12582912.0F) - 0x4B400000; }

// {low, high} saturated to the lower bytes, and the lower half of `above` to the upper ones.
inline __device__ unsigned pack_int8(float low, float high, unsigned above) {
  unsigned word;
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(word) : "r"(rounded(high)), "r"(rounded(low)), "r"(above));
  return word;
}

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
template <>
inline __device__ std::int8_t from_float<std::int8_t>(float value) {
  return static_cast<std::int8_t>(pack_int8(value, 0, 0) & 0xFFU);
}

template <class T, int N>
__device__ Pack<T, N> from_floats(float const (&values)[N]) {
  Pack<T, N> pack;
  if constexpr (sizeof(T) == 1 && N % 4 == 0) {
    unsigned words[N / 4];
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      words[i] = pack_int8(values[4 * i], values[4 * i + 1], pack_int8(values[4 * i + 2], values[4 * i + 3], 0));
    }
    memcpy(&pack, words, N);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) pack.at[i] = from_float<T>(values[i]);
  }
  return pack;
}

// 0 for an unknown type.
constexpr std::size_t size_of(DataType type) noexcept {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat16:
    case DataType::kBfloat16:
      return 2;
    case DataType::kInt8:
      return 1;
  }
  return 0;
}

inline bool is_aligned(void const* pointer, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

// Is it there, and aligned to its elements?
inline bool is_tensor(void const* pointer, DataType type) noexcept {
  return pointer != nullptr && is_aligned(pointer, size_of(type));
}

// Of an INT8 tensor: real value = scale * q.
inline bool is_scale(float scale) noexcept { return scale > 0 && std::isfinite(scale); }

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return a / b + (a % b != 0); }

}  // namespace tf2trt::plugins
