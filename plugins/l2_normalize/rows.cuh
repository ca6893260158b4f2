// Rows that one block can hold: read once, in one kernel. No kernel loops over its grid, as 2^31 - 1 blocks of these
// are more than any memory holds.
#pragma once

#include <cuda_pipeline.h>

#include "l2_normalize/block.cuh"

namespace tf2trt::plugins {

// A contiguous tensor seen as (outer, axis, inner): what lies before the axes to normalise over, they themselves, what
// lies after.
template <class In, class Out>
struct Slabs {
  In const* x;
  Out* y;
  std::int64_t outer;
  std::int64_t axis;
  std::int64_t inner;
  Norm norm;
};

constexpr int kThreads = 256;

// inner == 1, rows of whole packs: 2^lanes_log2 neighbouring threads take a row, `Packs` packs each, and `Rows` rows
// one after the other, all in flight together.
template <class In, class Out, int Packs, int Rows>
__global__ void __launch_bounds__(kThreads) lane_rows(Slabs<In, Out> const slabs, int packs, int lanes_log2) {
  constexpr int N = kWidth<In, Out>;
  int const lanes = 1 << lanes_log2;
  int const lane = threadIdx.x & (lanes - 1);
  int const rows_a_step = kThreads >> lanes_log2;
  std::int64_t const first = static_cast<std::int64_t>(blockIdx.x) * (rows_a_step * Rows) + (threadIdx.x >> lanes_log2);
  Pack<In, N> held[Rows][Packs];
#pragma unroll
  for (int r = 0; r < Rows; ++r) {
    std::int64_t const row = first + r * rows_a_step;
    In const* const x = slabs.x + row * slabs.axis;
#pragma unroll
    for (int p = 0; p < Packs; ++p) {
      int const at = lane + (p << lanes_log2);
      held[r][p] = row < slabs.outer && at < packs ? load<Pack<In, N>>(x + at * N) : Pack<In, N>{};
    }
  }
#pragma unroll
  for (int r = 0; r < Rows; ++r) {
    float sum = 0;
#pragma unroll
    for (int p = 0; p < Packs; ++p) sum = sum_of_squares(held[r][p], sum);
    float const factor = factor_of<Out>(lanes_sum(sum, lanes), slabs.norm);
    std::int64_t const row = first + r * rows_a_step;
    Out* const y = slabs.y + row * slabs.axis;
#pragma unroll
    for (int p = 0; p < Packs; ++p) {
      int const at = lane + (p << lanes_log2);
      if (row < slabs.outer && at < packs) store(y + at * N, scaled<Out>(afresh(held[r][p], slabs.norm.zero), factor));
    }
  }
}

// inner == 1, rows shorter than a pack: a thread takes the fewest packs that are whole rows, an odd number, so that
// threads reading them from shared memory meet no bank conflict. A warp moves its own. The last rows that do not make
// whole packs go one to a thread.
template <class In, class Out, int Axis>
struct Tiny {
  static constexpr int N = kWidth<In, Out>;
  static constexpr int kPacks = Axis % 4 == 0 ? Axis / 4 : Axis % 2 == 0 ? Axis / 2 : Axis;  // for N = 8
  static constexpr int kRows = kPacks * N / Axis;
  static constexpr int kTurns = kPacks == 1 ? 4 : 1;
  static_assert(N == 8 && Axis < N);
};

template <class In, class Out, int Axis>
__global__ void __launch_bounds__(kThreads) tiny_rows(Slabs<In, Out> const slabs) {
  using Of = Tiny<In, Out, Axis>;
  constexpr int N = Of::N, P = Of::kPacks;
  __shared__ Pack<Out, N> memory[kThreads * P];  // of the wider type
  int const lane = threadIdx.x % kWarp, first = (threadIdx.x - lane) * P;
  auto* const out = memory + first;
  auto* const in = reinterpret_cast<Pack<In, N>*>(out);
  std::int64_t const packs = slabs.outer / N * Axis;
  std::int64_t const start = static_cast<std::int64_t>(blockIdx.x) * (kThreads * P * Of::kTurns) + first;
  Pack<In, N> held[Of::kTurns][P];
#pragma unroll
  for (int t = 0; t < Of::kTurns; ++t) {
#pragma unroll
    for (int p = 0; p < P; ++p) {
      std::int64_t const at = start + t * (kThreads * P) + p * kWarp + lane;
      held[t][p] = at < packs ? load<Pack<In, N>>(slabs.x + at * N) : Pack<In, N>{};
    }
  }
#pragma unroll
  for (int t = 0; t < Of::kTurns; ++t) {
    float values[P * N];
    if (P > 1) {
#pragma unroll
      for (int p = 0; p < P; ++p) in[p * kWarp + lane] = held[t][p];
      __syncwarp();
#pragma unroll
      for (int p = 0; p < P; ++p) held[t][p] = in[lane * P + p];
      __syncwarp();
    }
#pragma unroll
    for (int p = 0; p < P; ++p) {
      float part[N];
      to_floats(held[t][p], part);
#pragma unroll
      for (int i = 0; i < N; ++i) values[p * N + i] = part[i];
    }
#pragma unroll
    for (int row = 0; row < Of::kRows; ++row) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < Axis; ++i) sum += values[row * Axis + i] * values[row * Axis + i];
      float const factor = factor_of<Out>(sum, slabs.norm);
#pragma unroll
      for (int i = 0; i < Axis; ++i) values[row * Axis + i] *= factor;
    }
#pragma unroll
    for (int p = 0; p < P; ++p) {
      float part[N];
#pragma unroll
      for (int i = 0; i < N; ++i) part[i] = values[p * N + i];
      Pack<Out, N> const pack = from_floats<Out>(part);
      std::int64_t const at = start + t * (kThreads * P) + lane;
      if (P == 1) {
        if (at < packs) store(slabs.y + at * N, pack);
      } else {
        out[lane * P + p] = pack;
      }
    }
    if (P > 1) {
      __syncwarp();
#pragma unroll
      for (int p = 0; p < P; ++p) {
        std::int64_t const at = start + t * (kThreads * P) + p * kWarp + lane;
        if (at < packs) store(slabs.y + at * N, out[p * kWarp + lane]);
      }
    }
  }
  if (blockIdx.x == 0 && threadIdx.x < slabs.outer % N) {
    std::int64_t const row = (slabs.outer / N * N + threadIdx.x) * Axis;
    In rest[Axis];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < Axis; ++i) rest[i] = slabs.x[row + i];
#pragma unroll
    for (int i = 0; i < Axis; ++i) sum += to_float(rest[i]) * to_float(rest[i]);
    float const factor = factor_of<Out>(sum, slabs.norm);
#pragma unroll
    for (int i = 0; i < Axis; ++i) slabs.y[row + i] = scaled<Out>(rest[i], factor);
  }
}

constexpr int kBlockRowPacks = 8;

// inner == 1: a block takes a row, `Packs` packs each thread, and in shared memory what is left after those.
template <class In, class Out, int Packs>
__global__ void __launch_bounds__(Packs < kBlockRowPacks ? 512 : 1024) block_rows(Slabs<In, Out> const slabs) {
  constexpr int N = kWidth<In, Out>;
  using Wide = Pack<In, N>;
  extern __shared__ uint4 memory[];
  In const* const x = slabs.x + blockIdx.x * slabs.axis;
  Out* const y = slabs.y + blockIdx.x * slabs.axis;
  Edges<N, In> const edges(x, slabs.axis);
  auto const packs = static_cast<int>(edges.packs);
  int const thread = threadIdx.x, threads = blockDim.x, more = Packs * threads;
  auto* const shared = reinterpret_cast<Wide*>(memory);  // a thread sees its own packs alone: no barrier
  if (Packs == kBlockRowPacks) {
    for (int at = more + thread; at < packs; at += threads) {
      __pipeline_memcpy_async(shared + at - more, x + edges.head + at * N, sizeof(Wide));
    }
    __pipeline_commit();
  }
  Wide held[Packs];
#pragma unroll
  for (int p = 0; p < Packs; ++p) {
    int const at = thread + p * threads;
    held[p] = at < packs ? load<Wide>(x + edges.head + at * N) : Wide{};
  }
  In const edge = edges.mine >= 0 ? load<In>(x + edges.mine) : In{};
  float sum = to_float(edge) * to_float(edge);
#pragma unroll
  for (int p = 0; p < Packs; ++p) sum = sum_of_squares(held[p], sum);
  if (Packs == kBlockRowPacks) {
    __pipeline_wait_prior(0);
    for (int at = more + thread; at < packs; at += threads) sum = sum_of_squares(shared[at - more], sum);
  }
  float const factor = factor_of<Out>(block_sum(sum), slabs.norm);
#pragma unroll
  for (int p = 0; p < Packs; ++p) {
    int const at = thread + p * threads;
    if (at < packs) store(y + edges.head + at * N, scaled<Out>(afresh(held[p], slabs.norm.zero), factor));
  }
  if (Packs == kBlockRowPacks) {
    for (int at = more + thread; at < packs; at += threads) {
      store(y + edges.head + at * N, scaled<Out>(shared[at - more], factor));
    }
  }
  if (edges.mine >= 0) store(y + edges.mine, scaled<Out>(edge, factor));
}

constexpr int kTilePacks = 4;          // a thread's
constexpr int kTileColumns = 1 << 12;  // at most: their factors lie in shared memory
template <class In, class Out>
constexpr int kTileElements = kThreads * kTilePacks * kWidth<In, Out>;

// Element e of a tile belongs to column e / slab * inner + e % slab % inner; this walks along neighbouring elements.
class Columns {
 public:
  __device__ Columns(unsigned element, unsigned axis, unsigned inner) : inner_(inner), slab_(axis * inner) {
    unsigned const slab = inner == 1 ? element / axis : element / slab_;
    unsigned const place = element - slab * slab_;
    start_ = slab * inner;
    column_ = inner == 1 ? 0 : place % inner;
    left_ = slab_ - place;
  }
  [[nodiscard]] __device__ unsigned column() const { return start_ + column_; }
  [[nodiscard]] __device__ unsigned left() const { return left_; }  // elements of this slab, from here on
  __device__ void advance() {
    if (++column_ == inner_) column_ = 0;
    if (--left_ == 0) {
      start_ += inner_;
      left_ = slab_;
    }
  }

 private:
  unsigned inner_, slab_, start_, column_, left_;
};

// Slabs that are small and not made of whole packs: a block takes a range of them in whole packs, and sums from shared
// memory, 2^lanes_log2 threads a column. Its size: kTileElements + 2N elements, then a float a column.
template <class In, class Out>
__global__ void __launch_bounds__(kThreads) tiles(Slabs<In, Out> const slabs, int slabs_a_block, int lanes_log2) {
  constexpr int N = kWidth<In, Out>;
  using Wide = Pack<In, N>;
  extern __shared__ uint4 memory[];
  auto* const elements = reinterpret_cast<In*>(memory);
  auto* const factors = reinterpret_cast<float*>(elements + kTileElements<In, Out> + 2 * N);
  auto const axis = static_cast<int>(slabs.axis), inner = static_cast<int>(slabs.inner);
  std::int64_t const first = static_cast<std::int64_t>(blockIdx.x) * slabs_a_block;
  std::int64_t const left = slabs.outer - first;
  int const outer = left < slabs_a_block ? static_cast<int>(left) : slabs_a_block;
  In const* const x = slabs.x + first * (axis * inner);
  Out* const y = slabs.y + first * (axis * inner);
  Edges<N, In> const edges(x, outer * axis * inner);
  auto const packs = static_cast<int>(edges.packs);
  int const thread = threadIdx.x;
  int const shift = (N - edges.head) % N;  // so that packs are aligned there too
  Wide held[kTilePacks];
#pragma unroll
  for (int p = 0; p < kTilePacks; ++p) {
    int const at = thread + p * kThreads;
    if (at < packs) held[p] = load<Wide>(x + edges.head + at * N);
  }
  In const edge = edges.mine >= 0 ? load<In>(x + edges.mine) : In{};

  if (axis > 1) {
#pragma unroll
    for (int p = 0; p < kTilePacks; ++p) {
      int const at = thread + p * kThreads;
      if (at < packs) *reinterpret_cast<Wide*>(elements + shift + edges.head + at * N) = held[p];
    }
    if (edges.mine >= 0) elements[shift + edges.mine] = edge;
    __syncthreads();
    int const lanes = 1 << lanes_log2, lane = thread & (lanes - 1), columns = outer * inner;
    for (int base = 0; base < columns; base += kThreads >> lanes_log2) {
      int const column = base + (thread >> lanes_log2);
      float sum = 0;
      if (column < columns) {
        int const slab = inner == 1 ? column : column / inner;
        In const* const start = elements + shift + slab * axis * inner + (column - slab * inner);
        for (int i = lane; i < axis; i += lanes) {
          float const value = to_float(start[i * inner]);
          sum += value * value;
        }
      }
      sum = lanes_sum(sum, lanes);
      if (column < columns && lane == 0) factors[column] = factor_of<Out>(sum, slabs.norm);
    }
    __syncthreads();
  }

  auto const alone = [&](float value) { return factor_of<Out>(value * value, slabs.norm); };
#pragma unroll
  for (int p = 0; p < kTilePacks; ++p) {
    int const at = thread + p * kThreads;
    if (at >= packs) break;
    int const start = edges.head + at * N;
    float values[N];
    to_floats(held[p], values);
    if (axis == 1) {
#pragma unroll
      for (int i = 0; i < N; ++i) values[i] *= alone(values[i]);
    } else {
      Columns columns(start, axis, inner);
      if (inner == 1 && axis >= N) {  // two rows at most
        int const own = columns.left();
        float const here = factors[columns.column()];
        float const next = own < N ? factors[columns.column() + 1] : 0;
#pragma unroll
        for (int i = 0; i < N; ++i) values[i] *= i < own ? here : next;
      } else {
#pragma unroll
        for (int i = 0; i < N; ++i) {
          values[i] *= factors[columns.column()];
          columns.advance();
        }
      }
    }
    store(y + start, from_floats<Out>(values));
  }
  if (edges.mine >= 0) {
    float const value = to_float(edge);
    float const factor =
        axis == 1 ? alone(value) : factors[Columns(static_cast<unsigned>(edges.mine), axis, inner).column()];
    store(y + edges.mine, from_float<Out>(value * factor));
  }
}

}  // namespace tf2trt::plugins
