// Which kernel takes which shape.
#pragma once

#include <cstddef>
#include <cstdint>

#include "l2_normalize/rows.cuh"
#include "l2_normalize/split.cuh"
#include "l2_normalize/spread.cuh"
#include "l2_normalize/strided.cuh"

namespace tf2trt::plugins {

// The smallest power of two that is not less.
inline int power_of_two(std::int64_t value, int cap) {
  int power = 1;
  while (power < value && power < cap) power *= 2;
  return power;
}

inline int log2_of(int power) {
  int log2 = 0;
  while (power >> log2 > 1) ++log2;
  return log2;
}

template <int Packs, int Rows, class In, class Out>
cudaError_t run_lanes(Slabs<In, Out> const& slabs, int packs, cudaStream_t stream) {
  int const lanes_log2 = log2_of(power_of_two(ceil_div(packs, Packs), kWarp));
  std::int64_t const rows_a_block = static_cast<std::int64_t>(kThreads >> lanes_log2) * Rows;
  auto const blocks = static_cast<unsigned>(ceil_div(slabs.outer, rows_a_block));
  lane_rows<In, Out, Packs, Rows><<<blocks, kThreads, 0, stream>>>(slabs, packs, lanes_log2);
  return cudaGetLastError();
}

// The bytes a block may have next to its 128 static ones; asks the device only where `wanted` needs an answer.
inline cudaError_t shared_memory(std::int64_t wanted, std::int64_t& room) {
  constexpr int kStatic = 1 << 10, kMost = 256 << 10;
  room = 0;
  if (wanted == 0 || wanted > kMost) return cudaSuccess;
  int device = 0, most = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  room = most - kStatic;
  return error;
}

constexpr std::int64_t kRegisterPacks = 1024 * kBlockRowPacks;

// One kernel for inner == 1 that holds a row of so many whole packs at most, `shared` bytes of them in shared memory.
template <class In, class Out>
cudaError_t run_block_rows(Slabs<In, Out> const& slabs, std::int64_t packs, std::size_t shared, cudaStream_t stream) {
  auto const blocks = static_cast<unsigned>(slabs.outer);
  auto const threads = [&](int held) {
    auto const warps = ceil_div(ceil_div(std::min(packs, kRegisterPacks), held), kWarp);
    return static_cast<unsigned>(std::max<std::int64_t>(warps, 2) * kWarp);
  };
  if (packs <= 2048) {
    block_rows<In, Out, 4><<<blocks, threads(4), 0, stream>>>(slabs);
    return cudaGetLastError();
  }
  auto* const kernel = block_rows<In, Out, kBlockRowPacks>;
  if (shared > 48 << 10) {  // more has to be asked for
    auto const error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  kernel<<<blocks, threads(kBlockRowPacks), shared, stream>>>(slabs);
  return cudaGetLastError();
}

template <class In, class Out>
cudaError_t run_tiles(Slabs<In, Out> const& slabs, cudaStream_t stream) {
  constexpr int N = kWidth<In, Out>;
  std::int64_t const slab = slabs.axis * slabs.inner;
  std::int64_t fit = kTileElements<In, Out> / slab;
  if (slabs.axis > 1) fit = std::min(fit, std::max<std::int64_t>(kTileColumns / slabs.inner, 1));
  fit = std::min(fit, slabs.outer);
  std::int64_t const columns = fit * slabs.inner;
  std::size_t const elements = (kTileElements<In, Out> + 2 * N) * sizeof(In);
  std::size_t const shared = slabs.axis > 1 ? elements + columns * sizeof(float) : 0;
  int const lanes = power_of_two(ceil_div(kThreads, columns), power_of_two(slabs.axis, kWarp));
  auto const blocks = static_cast<unsigned>(ceil_div(slabs.outer, fit));
  tiles<<<blocks, kThreads, shared, stream>>>(slabs, static_cast<int>(fit), log2_of(lanes));
  return cudaGetLastError();
}

template <int Axis, class In, class Out>
cudaError_t run_tiny(Slabs<In, Out> const& slabs, cudaStream_t stream) {
  using Of = Tiny<In, Out, Axis>;
  std::int64_t const packs = slabs.outer / Of::N * Axis;
  auto const blocks =
      static_cast<unsigned>(std::max<std::int64_t>(ceil_div(packs, kThreads * Of::kPacks * Of::kTurns), 1));
  tiny_rows<In, Out, Axis><<<blocks, kThreads, 0, stream>>>(slabs);
  return cudaGetLastError();
}

template <class In, class Out>
cudaError_t run_long_rows(Slabs<In, Out> const& slabs, Problem const& problem) {
  using Work = LongRows<In, Out>;
  std::int64_t const most = std::min<std::int64_t>(ceil_div(slabs.axis, kWidth<In, Out> * 1024), 1024);
  auto const bytes = slabs.axis * static_cast<std::int64_t>(sizeof(In));
  return run_split(Work{slabs.x, slabs.y, slabs.axis, 1, slabs.norm}, slabs.outer, bytes, most, Work::kSplitThreads, 0,
                   problem);
}

// N is a pack's width where the tensor's last axis is made of whole packs. Along: it is one to normalise over.
template <int N, bool Along, bool Several, class In, class Out>
cudaError_t run_strided(Problem const& problem) {
  using Work = Strided<In, Out, N, Along, Several>;
  Work work{static_cast<In const*>(problem.x), static_cast<Out*>(problem.y), {}, {}, 1, 1, 1, 1, problem.norm};
  std::int64_t stride = 1, fastest = 1;
  for (int i = problem.rank - 1; i >= 0; --i) {
    auto const [extent, is_reduced] = problem.axes[i];
    Strides& into = is_reduced ? work.reduced : work.kept;
    for (int k = into.count; k > 0; --k) {
      into.extents[k] = into.extents[k - 1];
      into.strides[k] = into.strides[k - 1];
    }
    bool const is_packed = i == problem.rank - 1 && N > 1;
    into.extents[0] = is_packed ? extent / N : extent;
    into.strides[0] = is_packed ? N : stride;
    ++into.count;
    (is_reduced ? work.axis : work.columns) *= into.extents[0];
    if (i == problem.rank - 1 && !is_reduced) fastest = into.extents[0];
    stride *= extent;
  }
  // blockDim.x: 128 bytes side by side if there are as many, more if the axis is short; 1 where it is the axis that
  // lies side by side.
  int const most = power_of_two(fastest + 1, 512) / 2;
  int high = power_of_two(ceil_div(work.axis, Work::kHeld), 1024);
  int const wide = std::min(std::max(kThreads / high, N > 1 ? 8 : kWarp), std::max(most, 1));
  high = std::min(std::max(high, ceil_div(kWarp, wide) > 1 ? kWarp / wide : 1), 1024 / wide);
  work.columns_a_block = wide;
  dim3 const threads(wide, high);
  std::size_t const sums = wide < kWarp ? wide * high / kWarp * wide : wide * high;
  std::size_t const shared = sums * Work::C * sizeof(float);
  std::int64_t const tasks = ceil_div(work.columns, wide);
  std::int64_t const task_bytes = work.axis * wide * N * static_cast<std::int64_t>(sizeof(In));

  // A second kernel pays where the axis is much longer than the registers, or has too few blocks to itself.
  std::int64_t const held = static_cast<std::int64_t>(high) * Work::kHeld;
  bool const is_large = tasks * task_bytes > 1 << 20;
  bool const is_long = work.axis > 2 * held || (tasks < 32 && work.axis > held / 2);
  if (!is_large || !is_long) {
    whole<<<static_cast<unsigned>(tasks), threads, shared, problem.stream>>>(work);
    return cudaGetLastError();
  }
  int const low = std::max(std::min(high, Work::kSplitThreads / wide), 1);
  std::int64_t const splits = std::min<std::int64_t>(ceil_div(work.axis, low * 8), 8192 / work.sums_a_split());
  return run_split(work, tasks, task_bytes, std::clamp<std::int64_t>(splits, 1, 1024), dim3(wide, low), shared,
                   problem);
}

template <class In, class Out>
cudaError_t run(Problem const& problem) {
  constexpr int N = kWidth<In, Out>;
  constexpr std::int64_t kLanePacks = 8 * kWarp;  // of a row that a warp holds
  constexpr std::int64_t kTileRow = 128 * N;      // elements; a longer row has a block to itself
  constexpr std::int64_t kSideBySide = 128 / sizeof(In);

  auto const x = reinterpret_cast<std::uintptr_t>(problem.x), y = reinterpret_cast<std::uintptr_t>(problem.y);
  std::uintptr_t const past = x % (sizeof(In) * N);
  bool const is_aligned = past == 0 && y % (sizeof(Out) * N) == 0;
  bool const is_alike = past % sizeof(In) == 0 && past / sizeof(In) * sizeof(Out) == y % (sizeof(Out) * N);

  int const rank = problem.rank;
  Axis const* const axes = problem.axes;
  bool const ends_kept = !axes[rank - 1].reduced;
  bool const is_slab = rank == 1 || rank == 2 || (rank == 3 && ends_kept);
  Slabs<In, Out> slabs{static_cast<In const*>(problem.x), static_cast<Out*>(problem.y), 1, 1, 1, problem.norm};
  if (is_slab) {
    for (int i = 0; i < rank; ++i) {
      (axes[i].reduced ? slabs.axis : i == rank - 1 && rank > 1 ? slabs.inner : slabs.outer) = axes[i].extent;
    }
  }
  bool const is_packed = is_aligned && axes[rank - 1].extent % N == 0;
  if (is_slab && is_alike && slabs.inner == 1) {
    if (is_aligned && slabs.axis % N == 0 && slabs.axis / N <= kLanePacks) {
      auto const packs = static_cast<int>(slabs.axis / N);
      if (packs <= 16) return run_lanes<1, 4>(slabs, packs, problem.stream);
      if (packs <= 32) return run_lanes<2, 2>(slabs, packs, problem.stream);
      if (packs <= 128) return run_lanes<4, 1>(slabs, packs, problem.stream);
      return run_lanes<8, 1>(slabs, packs, problem.stream);
    }
    if constexpr (N == 8) {
      if (is_aligned) {
        if (slabs.axis == 2) return run_tiny<2>(slabs, problem.stream);
        if (slabs.axis == 3) return run_tiny<3>(slabs, problem.stream);
        if (slabs.axis == 4) return run_tiny<4>(slabs, problem.stream);
        if (slabs.axis == 5) return run_tiny<5>(slabs, problem.stream);
        if (slabs.axis == 6) return run_tiny<6>(slabs, problem.stream);
        if (slabs.axis == 7) return run_tiny<7>(slabs, problem.stream);
      }
    }
    if (slabs.axis <= kTileRow) return run_tiles(slabs, problem.stream);
    std::int64_t const packs = ceil_div(slabs.axis, N);
    std::int64_t const shared = std::max<std::int64_t>(packs - kRegisterPacks, 0) * (sizeof(In) * N);
    std::int64_t room = 0;
    if (auto const error = shared_memory(shared, room); error != cudaSuccess) return error;
    if (shared <= room) return run_block_rows(slabs, packs, shared, problem.stream);
    bool is_done = false;
    if (auto const error = run_spread_rows(slabs, problem, is_done); error != cudaSuccess || is_done) return error;
    return run_long_rows(slabs, problem);
  }
  bool const fits_strided = is_packed && ends_kept && axes[rank - 1].extent >= kSideBySide;
  if (is_slab && is_alike && !fits_strided && slabs.axis <= kTileElements<In, Out> / slabs.inner) {
    return run_tiles(slabs, problem.stream);
  }
  bool const has_several = std::count_if(axes, axes + rank, [](Axis const& axis) { return axis.reduced; }) > 1;
  if (is_packed && !ends_kept && has_several) return run_strided<N, true, true, In, Out>(problem);
  if (is_packed && ends_kept) {
    return has_several ? run_strided<N, false, true, In, Out>(problem) : run_strided<N, false, false, In, Out>(problem);
  }
  return has_several ? run_strided<1, false, true, In, Out>(problem) : run_strided<1, false, false, In, Out>(problem);
}

}  // namespace tf2trt::plugins
