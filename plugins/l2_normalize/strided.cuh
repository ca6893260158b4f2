// Any axes: what is reduced does not end the tensor, or lies apart, or starts where packs cannot.
#pragma once

#include "l2_normalize/split.cuh"

namespace tf2trt::plugins {

// Takes several times as long as 32 bits, and much code.
inline __device__ __noinline__ std::int64_t divide_long(std::int64_t a, std::int64_t b) { return a / b; }

inline __device__ std::int64_t divide(std::int64_t a, std::int64_t b) {
  return (a | b) >> 32 == 0 ? static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b) : divide_long(a, b);
}

// Merged axes of one kind, slowest first; they alternate, so there are four at most.
struct Strides {
  int count;
  std::int64_t extents[4];
  std::int64_t strides[4];  // elements

  // `Several`: there may be more than one.
  template <bool Several>
  __device__ std::int64_t offset(std::int64_t index) const {
    if (!Several) return index * strides[0];
    std::int64_t offset = 0;
#pragma unroll 1
    for (int i = count - 1; i > 0; --i) {
      std::int64_t const rest = divide(index, extents[i]);
      offset += (index - rest * extents[i]) * strides[i];
      index = rest;
    }
    return offset + index * strides[0];
  }
};

// A block takes blockDim.x packs side by side, and its blockDim.y threads share the length. A pack is N columns, or N
// elements of one column where it lies `Along` the axes to normalise over. `Several`: these
// are more than one after merging. For split.cuh a task is a block's columns.
template <class In, class Out, int N, bool Along, bool Several>
struct Strided {
  static constexpr int kMaxThreads = 1024;
  static constexpr int kSplitThreads = 512;
  static constexpr int kHeld = N == 1 ? 16 : 8;  // packs a thread
  static constexpr int C = Along ? 1 : N;        // columns a pack
  using Wide = Pack<In, N>;

  In const* x;
  Out* y;
  Strides kept;  // the tensor's last axis in packs
  Strides reduced;
  std::int64_t columns;
  std::int64_t axis;
  int splits;
  int columns_a_block;  // blockDim.x
  Norm norm;

  __host__ __device__ std::int64_t sums_a_split() const { return columns_a_block * C; }

  // finish(sum) of each column, in shared memory. All of the block take part; blockDim.x is a power of two.
  template <class Finish>
  static __device__ float* totals(float (&sums)[C], Finish finish) {
    extern __shared__ uint4 memory[];
    auto* const shared = reinterpret_cast<float*>(memory);
    int const wide = blockDim.x;
    int const thread = threadIdx.y * wide + threadIdx.x;
#pragma unroll
    for (int i = 0; i < C; ++i) {
      for (int distance = wide; distance < kWarp; distance *= 2) {
        sums[i] += __shfl_xor_sync(0xffffffffU, sums[i], distance);
      }
    }
    int const row = wide < kWarp ? thread / kWarp : static_cast<int>(threadIdx.y);
    int const rows = wide < kWarp ? wide * static_cast<int>(blockDim.y) / kWarp : static_cast<int>(blockDim.y);
    if (wide >= kWarp || thread % kWarp < wide) {
#pragma unroll
      for (int i = 0; i < C; ++i) shared[(row * C + i) * wide + threadIdx.x] = sums[i];
    }
    __syncthreads();
    for (int i = thread; i < C * wide; i += wide * blockDim.y) {
      float total = shared[i];
      for (int r = 1; r < rows; ++r) total += shared[r * C * wide + i];
      shared[i] = finish(total);
    }
    __syncthreads();
    return shared;
  }

  __device__ void factors(float (&sums)[C], float (&factors)[C]) const {
    float const* const all = totals(sums, [this](float sum) { return factor_of<Out>(sum, norm); });
#pragma unroll
    for (int i = 0; i < C; ++i) factors[i] = all[i * blockDim.x + threadIdx.x];
  }

  static __device__ void add_squares(Wide const& pack, float (&sums)[C]) {
    float values[N];
    to_floats(pack, values);
#pragma unroll
    for (int i = 0; i < N; ++i) sums[Along ? 0 : i] += values[i] * values[i];
  }

  static __device__ void write(Out* to, Wide const& pack, float const (&factors)[C]) {
    float values[N];
    to_floats(pack, values);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] *= factors[Along ? 0 : i];
    store(to, from_floats<Out>(values));
  }

  // One kernel: the first packs stay in registers, those after them are read twice.
  __device__ void whole(std::int64_t task) const {
    std::int64_t const column = task * columns_a_block + threadIdx.x;
    bool const is_real = column < columns;
    std::int64_t const start = is_real ? kept.template offset<true>(column) : 0;
    std::int64_t const high = blockDim.y;
    std::int64_t const after = high * kHeld + threadIdx.y;
    Wide held[kHeld];
    float sums[C] = {};
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      std::int64_t const at = threadIdx.y + i * high;
      held[i] = is_real && at < axis ? load<Wide>(x + start + reduced.template offset<Several>(at)) : Wide{};
    }
#pragma unroll
    for (int i = 0; i < kHeld; ++i) add_squares(held[i], sums);
    if (is_real) {
#pragma unroll 1
      for (std::int64_t at = after; at < axis; at += high) {
        add_squares(load<Wide>(x + start + reduced.template offset<Several>(at), false), sums);
      }
    }
    float scale[C];
    factors(sums, scale);
    int const row = afresh(static_cast<int>(threadIdx.y), norm.zero);  // the offsets would take the registers, too
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      std::int64_t const at = row + i * high;
      if (is_real && at < axis)
        write(y + start + reduced.template offset<Several>(at), afresh(held[i], norm.zero), scale);
    }
    if (is_real) {
#pragma unroll 1
      for (std::int64_t at = after; at < axis; at += high) {
        std::int64_t const offset = start + reduced.template offset<Several>(at);
        write(y + offset, load<Wide>(x + offset), scale);
      }
    }
  }

  __device__ void sum(std::int64_t task, int split, float* partials) const {
    std::int64_t const column = task * columns_a_block + threadIdx.x;
    std::int64_t const share = (axis + splits - 1) / splits;
    std::int64_t const end = (split + 1) * share < axis ? (split + 1) * share : axis;
    float sums[C] = {};
    if (column < columns) {
      In const* const from = x + kept.template offset<true>(column);
      for (std::int64_t at = split * share + threadIdx.y; at < end; at += kBatch * blockDim.y) {
        Wide held[kBatch];
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          std::int64_t const place = at + i * blockDim.y;
          held[i] = place < end ? load<Wide>(from + reduced.template offset<Several>(place), false) : Wide{};
        }
#pragma unroll
        for (int i = 0; i < kBatch; ++i) add_squares(held[i], sums);
      }
    }
    float const* const all = totals(sums, [](float sum) { return sum; });
    int const count = columns_a_block * C;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < count; i += blockDim.x * blockDim.y) {
      partials[split * count + i] = all[i];
    }
  }

  __device__ void scale(std::int64_t task, int split, float const* partials) const {
    float sums[C] = {};
    for (int s = threadIdx.y; s < splits; s += blockDim.y) {
#pragma unroll
      for (int i = 0; i < C; ++i) sums[i] += partials[s * sums_a_split() + i * blockDim.x + threadIdx.x];
    }
    float scale[C];
    factors(sums, scale);
    std::int64_t const column = task * columns_a_block + threadIdx.x;
    std::int64_t const share = (axis + splits - 1) / splits;
    std::int64_t const begin = split * share;
    std::int64_t const end = begin + share < axis ? begin + share : axis;
    if (column >= columns) return;
    std::int64_t const start = kept.template offset<true>(column);
    for (std::int64_t at = end - 1 - threadIdx.y; at >= begin; at -= kBatch * blockDim.y) {
      Wide held[kBatch];
      std::int64_t offsets[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        std::int64_t const place = at - static_cast<std::int64_t>(i) * blockDim.y;
        offsets[i] = place >= begin ? start + reduced.template offset<Several>(place) : -1;
        if (offsets[i] >= 0) held[i] = load<Wide>(x + offsets[i]);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        if (offsets[i] >= 0) write(y + offsets[i], held[i], scale);
      }
    }
  }

 private:
  static constexpr int kBatch = 4;
};

template <class Work>
__global__ void __launch_bounds__(Work::kMaxThreads) whole(Work const work) {
  work.whole(blockIdx.x);
}

}  // namespace tf2trt::plugins
