// Rows that no block can hold, but the GPU as a whole can: several blocks hold a row between them in shared memory, so
// that it is read once, and wait for each other's sums.
#pragma once

#include <cuda_pipeline.h>

#include "l2_normalize/block.cuh"
#include "l2_normalize/rows.cuh"

namespace tf2trt::plugins {

constexpr int kSpreadThreads = 256;
constexpr int kSpreadBlocks = 3;  // on a multiprocessor: some load while others wait

// What a block tells the others of its group: which turn, and its part of that row's sum, in one word, so that neither
// can be seen without the other and no fence is needed.
using Word = unsigned long long;
inline __device__ Word word_of(unsigned turn, float sum) {
  return static_cast<Word>(turn) << 32U | __float_as_uint(sum);
}

// How many rows a block is behind when it writes.
template <int Stages>
constexpr int kDelayOf = Stages == 1 ? 0 : 1;

// Words are kept for so many turns: a block that writes a turn's has seen all of (turn - 1 - delay), so that everyone
// has read those of (turn - 2 - 2 * delay).
template <int Delay>
constexpr int kTurnsKept = 2 + 2 * Delay;

// One block's part of a row, `share` packs or fewer.
template <class In, class Out>
struct Part {
  static constexpr int N = kWidth<In, Out>;
  __device__ Part(Slabs<In, Out> const& slabs, std::int64_t row, int part, int share)
      : from(slabs.x + row * slabs.axis), to(slabs.y + row * slabs.axis), edges(from, slabs.axis) {
    std::int64_t const begin = min(static_cast<std::int64_t>(part) * share, edges.packs);
    count = static_cast<int>(min(static_cast<std::int64_t>(share), edges.packs - begin));
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
// the GPU at once, as a cooperative launch promises. Shared memory: `share` packs for each stage. `words` holds
// kTurnsKept zeros for each block.
//
// With three stages a block sums a row before it writes the one before, while the next is on its way: nobody waits
// unless another block is a whole row behind. With one, for rows that leave no room, blocks wait at each row.
template <class In, class Out, int Stages>
__global__ void __launch_bounds__(kSpreadThreads, kSpreadBlocks)
    spread_rows(Slabs<In, Out> slabs, int parts, int share, Word* words) {
  constexpr int N = kWidth<In, Out>, kDelay = kDelayOf<Stages>, kKept = kTurnsKept<kDelay>;
  using Wide = Pack<In, N>;
  using Mine = Part<In, Out>;
  extern __shared__ uint4 memory[];
  __shared__ float warp_sums[2][kWarp];
  auto* const held = reinterpret_cast<Wide*>(memory);  // a thread sees its own packs alone: no barrier
  int const thread = threadIdx.x;
  auto const group = static_cast<int>(blockIdx.x) / parts, part = static_cast<int>(blockIdx.x) % parts;
  auto const groups = static_cast<int>(gridDim.x) / parts;
  auto const turns = static_cast<int>((slabs.outer - group + groups - 1) / groups);
  auto const mine = [&](int turn) {
    return Mine(slabs, group + static_cast<std::int64_t>(turn) * groups, part, share);
  };
  auto const words_of = [&](int turn) { return words + turn % kKept * gridDim.x + group * parts; };
  int sums = 0;
  auto const sum_over_block = [&](float value) { return block_sum(value, warp_sums[sums++ % 2]); };
  auto const fetch = [&](int turn) {
    if (turn < turns) {
      Mine const its = mine(turn);
      Wide* const to = held + turn % Stages * share;
      for (int pack = thread; pack < its.count; pack += kSpreadThreads) {
        __pipeline_memcpy_async(to + pack, its.from + its.first + static_cast<std::int64_t>(pack) * N, sizeof(Wide));
      }
    }
    __pipeline_commit();
  };

  In edge{}, last_edge{};
  for (int turn = 0; turn < Stages - kDelay; ++turn) fetch(turn);
  for (int turn = 0; turn < turns + kDelay; ++turn) {
    last_edge = edge;
    if (turn < turns) {
      Mine const its = mine(turn);
      edge = its.has_edge ? its.from[its.edges.mine] : In{};
      float sum = to_float(edge) * to_float(edge);
      __pipeline_wait_prior(Stages - 1 - kDelay);
      Wide const* const from = held + turn % Stages * share;
      for (int pack = thread; pack < its.count; pack += kSpreadThreads) sum = sum_of_squares(from[pack], sum);
      sum = sum_over_block(sum);
      if (thread == 0) __stcg(words_of(turn) + part, word_of(turn + 1, sum));
    }
    int const done = turn - kDelay;
    if (done < 0) {
      fetch(done + Stages);
      continue;
    }
    float total = 0;
    for (int i = thread; i < parts; i += kSpreadThreads) {
      Word const volatile* const its = words_of(done) + i;
      Word word = *its;
      while (word >> 32U != done + 1) word = *its;
      total += __uint_as_float(static_cast<unsigned>(word));
    }
    float const factor = factor_of<Out>(sum_over_block(total), slabs.norm);
    Mine const its = mine(done);
    Wide const* const from = held + done % Stages * share;
    for (int pack = thread; pack < its.count; pack += kSpreadThreads) {
      store(its.to + its.first + static_cast<std::int64_t>(pack) * N, scaled<Out>(from[pack], factor));
    }
    if (its.has_edge) store(its.to + its.edges.mine, scaled<Out>(kDelay > 0 ? last_edge : edge, factor));
    fetch(done + Stages);
  }
}

// What the GPU has room for; all 0 where blocks cannot wait for each other.
struct SpreadRoom {
  int bytes;  // of shared memory a block, a multiple of three packs
  std::int64_t blocks;
};

inline cudaError_t spread_room(void const* kernel, SpreadRoom& room) {
  constexpr int kReserved = 2 << 10;  // of each block: the driver's 1 KiB, the kernel's own sums
  constexpr auto kWords = static_cast<std::int64_t>(kL2WorkspaceBytes / (kTurnsKept<1> * sizeof(Word)));
  room = {};
  int device = 0, can_wait = 0, processors = 0, all = 0, most = 0, blocks = 0;
  auto error = cudaGetDevice(&device);
  auto const ask = [&](int& value, cudaDeviceAttr attribute) {
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, attribute, device);
  };
  ask(can_wait, cudaDevAttrCooperativeLaunch);
  ask(processors, cudaDevAttrMultiProcessorCount);
  ask(all, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  ask(most, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  int const bytes = (std::min(all / kSpreadBlocks, most) - kReserved) / 48 * 48;
  if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error == cudaSuccess) {
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kSpreadThreads, bytes);
  }
  if (error != cudaSuccess || can_wait == 0) return error;
  room = {bytes, std::min<std::int64_t>(static_cast<std::int64_t>(processors) * blocks, kWords)};
  return cudaSuccess;
}

template <int Stages, class In, class Out>
cudaError_t run_spread_stages(Slabs<In, Out> slabs, Problem const& problem, bool& is_done) {
  auto const* const kernel = reinterpret_cast<void const*>(spread_rows<In, Out, Stages>);
  SpreadRoom room{};
  if (auto const error = spread_room(kernel, room); error != cudaSuccess) return error;
  constexpr std::int64_t kPack = kWidth<In, Out> * sizeof(In);
  constexpr std::int64_t kFewest = kSpreadThreads * 64 / kPack;  // packs worth a block of their own
  std::int64_t const packs = slabs.axis / kWidth<In, Out>, most = room.bytes / Stages / kPack;
  if (packs > room.blocks * most) return cudaSuccess;
  std::int64_t const groups = std::min(room.blocks / ceil_div(packs, most), slabs.outer);
  std::int64_t const fill = std::min(room.blocks / groups, ceil_div(packs, kFewest));
  auto parts = static_cast<int>(std::max(fill, ceil_div(packs, most)));
  auto share = static_cast<int>(ceil_div(packs, parts));
  auto const blocks = static_cast<unsigned>(groups * parts);
  auto* words = reinterpret_cast<Word*>(problem.partials);
  auto const error = cudaMemsetAsync(words, 0, blocks * kTurnsKept<kDelayOf<Stages>> * sizeof(Word), problem.stream);
  if (error != cudaSuccess) return error;
  void* arguments[] = {&slabs, &parts, &share, &words};
  is_done = true;
  return cudaLaunchCooperativeKernel(kernel, dim3(blocks), dim3(kSpreadThreads), arguments, room.bytes, problem.stream);
}

// `is_done` stays false, and nothing is launched, where the GPU cannot hold a row.
template <class In, class Out>
cudaError_t run_spread_rows(Slabs<In, Out> const& slabs, Problem const& problem, bool& is_done) {
  auto const error = run_spread_stages<3>(slabs, problem, is_done);
  return error != cudaSuccess || is_done ? error : run_spread_stages<1>(slabs, problem, is_done);
}

}  // namespace tf2trt::plugins
