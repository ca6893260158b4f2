// Rows that no block can hold, but the GPU as a whole can: several blocks hold a row between them in shared memory, so
// that it is read once, and wait for each other's sums.
#pragma once

#include "l2_normalize/block.cuh"
#include "l2_normalize/rows.cuh"

namespace tf2trt::plugins {

constexpr int kSpreadThreads = 256;
constexpr int kSpreadBytes =
    32 << 10;  // of a row, in each block: several blocks a multiprocessor, one loads while others wait
constexpr std::int64_t kSpreadBlocks = kL2WorkspaceBytes / (3 * sizeof(float));  // a counter and two sums each

// One block's part of a row.
template <class In, class Out>
struct Part {
  static constexpr int N = kWidth<In, Out>;
  __device__ Part(Slabs<In, Out> const& slabs, std::int64_t row, int part, int parts)
      : from(slabs.x + row * slabs.axis), to(slabs.y + row * slabs.axis), edges(from, slabs.axis) {
    std::int64_t const share = (edges.packs + parts - 1) / parts;
    std::int64_t const begin = min(part * share, edges.packs);
    count = static_cast<int>(min(share, edges.packs - begin));
    first = edges.head + begin * N;
    has_edge = part == 0 && edges.mine >= 0;
  }
  In const* from;
  Out* to;
  Edges<N, In> edges;
  std::int64_t first;  // element of the first pack
  int count;           // packs
  bool has_edge;
};

// gridDim.x is a multiple of `parts`; each `parts` blocks take every (gridDim.x / parts)th row. All blocks must be on
// the GPU at once, as a cooperative launch promises. `arrived` holds a zero for each group of blocks.
template <class In, class Out>
__global__ void __launch_bounds__(kSpreadThreads, 5)
    spread_rows(Slabs<In, Out> slabs, int parts, float* partials, unsigned* arrived) {
  constexpr int N = kWidth<In, Out>, kBatch = 4;
  using Wide = Pack<In, N>;
  using Mine = Part<In, Out>;
  extern __shared__ uint4 shared[];
  auto* const held = reinterpret_cast<Wide*>(shared);
  auto const group = static_cast<int>(blockIdx.x) / parts, part = static_cast<int>(blockIdx.x) % parts;
  auto const groups = static_cast<int>(gridDim.x) / parts;
  unsigned expected = 0;
  Wide batch[kBatch];
  auto const fetch = [&](Mine const& mine, int at) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      int const pack = at + i * kSpreadThreads;
      if (pack < mine.count) batch[i] = load<Wide>(mine.from + mine.first + static_cast<std::int64_t>(pack) * N);
    }
  };
  fetch(Mine(slabs, group, part, parts), threadIdx.x);
  for (std::int64_t row = group; row < slabs.outer; row += groups) {
    Mine const mine(slabs, row, part, parts);
    In const edge = mine.has_edge ? mine.from[mine.edges.mine] : In{};
    float sum = mine.has_edge ? to_float(edge) * to_float(edge) : 0;
    for (int at = threadIdx.x; at < mine.count;) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        int const pack = at + i * kSpreadThreads;
        if (pack >= mine.count) break;
        held[pack] = batch[i];
        sum = sum_of_squares(batch[i], sum);
      }
      at += kBatch * kSpreadThreads;
      fetch(mine, at);
    }
    sum = block_sum(sum);
    if (row + groups < slabs.outer) fetch(Mine(slabs, row + groups, part, parts), threadIdx.x);  // while others arrive
    // Two rows' sums have room: nobody is more than one row ahead of a block of its own group.
    float* const sums = partials + (expected / parts % 2) * gridDim.x + group * parts;
    expected += parts;
    if (threadIdx.x == 0) {
      __stcg(sums + part, sum);
      __threadfence();
      atomicAdd(arrived + group, 1U);
      while (*static_cast<unsigned volatile*>(arrived + group) < expected) {
      }
      __threadfence();
    }
    __syncthreads();
    float total = 0;
    for (int i = threadIdx.x % kWarp; i < parts; i += kWarp) total += __ldcg(sums + i);
    float const factor = factor_of<Out>(lanes_sum(total, kWarp), slabs.norm);
    for (int pack = threadIdx.x; pack < mine.count; pack += kSpreadThreads) {  // each its own: nothing to wait for
      store(mine.to + mine.first + static_cast<std::int64_t>(pack) * N, scaled<Out>(held[pack], factor));
    }
    if (mine.has_edge) store(mine.to + mine.edges.mine, scaled<Out>(edge, factor));
  }
}

// `is_done` stays false, and nothing is launched, where the GPU cannot hold a row.
template <class In, class Out>
cudaError_t run_spread_rows(Slabs<In, Out> const& slabs, Problem const& problem, bool& is_done) {
  auto* const kernel = spread_rows<In, Out>;
  int device = 0, processors = 0, can_wait = 0, blocks = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&can_wait, cudaDevAttrCooperativeLaunch, device);
  if (error == cudaSuccess) {
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kSpreadThreads, kSpreadBytes);
  }
  if (error != cudaSuccess) return error;
  std::int64_t const bytes = slabs.axis * static_cast<std::int64_t>(sizeof(In));
  std::int64_t const room = std::min<std::int64_t>(static_cast<std::int64_t>(processors) * blocks, kSpreadBlocks);
  if (can_wait == 0 || bytes > room * kSpreadBytes) return cudaSuccess;
  auto const groups = static_cast<int>(std::min<std::int64_t>(room / ceil_div(bytes, kSpreadBytes), slabs.outer));
  auto parts = static_cast<int>(std::min<std::int64_t>(room / groups, ceil_div(bytes, kSpreadThreads * 64)));
  auto* arrived = reinterpret_cast<unsigned*>(problem.partials);
  auto* partials = problem.partials + kSpreadBlocks;
  error = cudaMemsetAsync(arrived, 0, groups * sizeof(unsigned), problem.stream);
  if (error != cudaSuccess) return error;
  auto rows = slabs;
  void* arguments[] = {&rows, &parts, &partials, &arrived};
  is_done = true;
  return cudaLaunchCooperativeKernel(reinterpret_cast<void const*>(kernel), dim3(groups * parts), dim3(kSpreadThreads),
                                     arguments, kSpreadBytes, problem.stream);
}

}  // namespace tf2trt::plugins
