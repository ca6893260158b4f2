// Rows that the GPU cannot hold (see spread.cuh) and long axes with others after them: blocks share a row, one kernel
// leaves their sums in the workspace, the next one scales. The tensor is taken in groups of rows that fit into the L2
// cache several times, so that the second reading does not come from DRAM, and each kernel scales one group and sums
// the next, so that reading and writing overlap.
#pragma once

#include "l2_normalize/block.cuh"

namespace tf2trt::plugins {

// Blocks of one kind: `splits` for each task from `first` on, and where their sums lie.
struct Span {
  std::int64_t first;
  std::int64_t blocks;
  float* partials;
};

template <class Work>
__global__ void __launch_bounds__(Work::kSplitThreads, 1024 / Work::kSplitThreads)
    step(Work const work, Span const sums, Span const scales) {
  auto const block = static_cast<std::int64_t>(blockIdx.x);
  std::int64_t const pairs = sums.blocks < scales.blocks ? sums.blocks : scales.blocks;
  bool const is_paired = block < 2 * pairs;
  bool const is_scale = is_paired ? block % 2 != 0 : scales.blocks > sums.blocks;
  std::int64_t const index = is_paired ? block / 2 : block - pairs;
  std::int64_t const task = index / work.splits;
  auto const split = static_cast<int>(index - task * work.splits);
  if (is_scale) {
    work.scale(scales.first + task, split, scales.partials + task * work.splits * work.sums_a_split());
  } else {
    work.sum(sums.first + task, split, sums.partials + task * work.splits * work.sums_a_split());
  }
}

constexpr std::int64_t kPartials = kL2WorkspaceBytes / (2 * sizeof(float));  // two groups are under way

// Two groups are read and one is written at a time, and a line may lie in both halves of the cache.
constexpr int kCacheShare = 4;

// `task_bytes`: the input's, of one task. `most`: splits of a task.
template <class Work>
cudaError_t run_split(Work work, std::int64_t tasks, std::int64_t task_bytes, std::int64_t most, dim3 threads,
                      std::size_t shared, Problem const& problem) {
  int device = 0, l2_bytes = 0, processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  // As many blocks of each kind as the GPU holds at a time: 1,024 threads a multiprocessor, the least there is.
  std::int64_t const blocks = std::max<std::int64_t>(processors * 512 / (threads.x * threads.y), 1);
  std::int64_t const room = kPartials / work.sums_a_split();
  std::int64_t const fit = std::clamp<std::int64_t>(l2_bytes / kCacheShare / task_bytes, 1, std::min(tasks, room));
  work.splits = static_cast<int>(std::clamp<std::int64_t>(blocks / fit, 1, std::min(most, room / fit)));
  std::int64_t const group = work.splits == 1 ? fit : std::clamp<std::int64_t>(blocks / work.splits, 1, fit);
  Span done{0, 0, problem.partials + kPartials};
  for (std::int64_t first = 0; first < tasks || done.blocks > 0; first += group) {
    std::int64_t const count = std::max<std::int64_t>(std::min(group, tasks - first), 0);
    float* const partials = done.partials == problem.partials ? problem.partials + kPartials : problem.partials;
    Span const next{first, count * work.splits, partials};
    step<<<static_cast<unsigned>(next.blocks + done.blocks), threads, shared, problem.stream>>>(work, next, done);
    if (auto const error = cudaGetLastError(); error != cudaSuccess) return error;
    done = next;
  }
  return cudaSuccess;
}

// inner == 1: a task is a row.
template <class In, class Out>
struct LongRows {
  static constexpr int kSplitThreads = 256;
  static constexpr int kBatch = sizeof(In) == 1 ? 4 : 8;
  static constexpr int N = kWidth<In, Out>;
  using Wide = Pack<In, N>;

  In const* x;
  Out* y;
  std::int64_t width;
  int splits;
  Norm norm;

  __host__ __device__ static std::int64_t sums_a_split() { return 1; }

  __device__ void sum(std::int64_t row, int split, float* partials) const {
    In const* const from = x + row * width;
    Edges<N, In> const edges(from, width);
    std::int64_t const share = ceil_share(edges.packs);
    std::int64_t const begin = split * share;
    std::int64_t const end = begin + share < edges.packs ? begin + share : edges.packs;
    float sum = 0;
    if (split == 0 && edges.mine >= 0) {
      float const edge = to_float(from[edges.mine]);
      sum = edge * edge;
    }
    for (std::int64_t at = begin + threadIdx.x; at < end; at += kBatch * kSplitThreads) {
      Wide held[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        std::int64_t const pack = at + i * kSplitThreads;
        held[i] = pack < end ? load<Wide>(from + edges.head + pack * N, false) : Wide{};
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) sum = sum_of_squares(held[i], sum);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[split] = sum;
  }

  // Backwards, as the cache holds what was read last.
  __device__ void scale(std::int64_t row, int split, float const* partials) const {
    In const* const from = x + row * width;
    Out* const to = y + row * width;
    Edges<N, In> const edges(from, width);
    std::int64_t const share = ceil_share(edges.packs);
    std::int64_t const begin = split * share;
    std::int64_t const end = begin + share < edges.packs ? begin + share : edges.packs;
    In const* const packs = from + edges.head;
    std::int64_t at = end - 1 - threadIdx.x;
    Wide held[kBatch];
    auto const fetch = [&] {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        std::int64_t const pack = at - i * kSplitThreads;
        if (pack >= begin) held[i] = load<Wide>(packs + pack * N);
      }
    };
    fetch();  // under way while the sums come
    float sum = 0;
    for (int i = threadIdx.x; i < splits; i += kSplitThreads) sum += partials[i];
    float const factor = factor_of<Out>(block_sum(sum), norm);
    while (at >= begin) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        std::int64_t const pack = at - i * kSplitThreads;
        if (pack >= begin) store(to + edges.head + pack * N, scaled<Out>(held[i], factor));
      }
      at -= kBatch * kSplitThreads;
      fetch();
    }
    if (split == 0 && edges.mine >= 0) store(to + edges.mine, scaled<Out>(from[edges.mine], factor));
  }

 private:
  __device__ std::int64_t ceil_share(std::int64_t packs) const { return (packs + splits - 1) / splits; }
};

}  // namespace tf2trt::plugins
