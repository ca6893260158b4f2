#include <algorithm>
#include <limits>

#include "l2_normalize/kernel.hpp"
#include "l2_normalize/problem.hpp"
#include "sdk/launch.hpp"

namespace tf2trt::plugins {
namespace {

using Run = cudaError_t (*)(Problem const&);

// Null for types that do not go together.
Run run_for(DataType input, DataType output) noexcept {
  switch (input) {
    case DataType::kFloat32:
      return output == input ? run<float, float> : nullptr;
    case DataType::kFloat16:
      return output == input ? run<__half, __half> : nullptr;
    case DataType::kBfloat16:
      return output == input ? run<__nv_bfloat16, __nv_bfloat16> : nullptr;
    case DataType::kInt8:
      if (output == DataType::kInt8) return run<std::int8_t, std::int8_t>;
      if (output == DataType::kFloat32) return run<std::int8_t, float>;
      if (output == DataType::kFloat16) return run<std::int8_t, __half>;
      break;
  }
  return nullptr;
}

bool is_valid(L2Normalization const& how) noexcept {
  if (!how.lp_normalization && !(how.epsilon >= 0)) return false;
  if (how.input == DataType::kInt8 && !is_scale(how.input_scale)) return false;
  return how.output != DataType::kInt8 || is_scale(how.output_scale);
}

float bounded(double value) noexcept {
  return static_cast<float>(std::min(value, static_cast<double>(std::numeric_limits<float>::max())));
}

// With x = s * q and y = t * r: r = q * (s / t) * rsqrt(max(s^2 * sum(q^2), epsilon)); x / ||x|| knows no s.
Norm norm_of(L2Normalization const& how) noexcept {
  double const in = how.input == DataType::kInt8 && !how.lp_normalization ? how.input_scale : 1.0;
  double const out = how.output == DataType::kInt8 ? how.output_scale : 1.0;
  return {how.epsilon, static_cast<float>(in * in), bounded(in / out), how.lp_normalization, 0};
}

}  // namespace

cudaError_t l2_normalize(void const* x, void* y, L2Normalization const& how, std::int64_t const* dims, int rank,
                         std::uint32_t axes, void* workspace, cudaStream_t stream) noexcept {
  Run const run = run_for(how.input, how.output);
  if (run == nullptr || !is_valid(how)) return cudaErrorInvalidValue;
  if (dims == nullptr || rank < 1 || rank > 8 || axes == 0 || axes >> rank != 0) return cudaErrorInvalidValue;
  if (std::any_of(dims, dims + rank, [](std::int64_t extent) { return extent < 0; })) return cudaErrorInvalidValue;
  if (std::find(dims, dims + rank, 0) != dims + rank) return cudaSuccess;

  Problem problem{x, y, norm_of(how), {}, 0, static_cast<float*>(workspace), stream};
  auto bytes = static_cast<std::int64_t>(std::max(size_of(how.input), size_of(how.output)));
  for (int i = 0; i < rank; ++i) {
    if (__builtin_mul_overflow(bytes, dims[i], &bytes)) return cudaErrorInvalidValue;
    if (dims[i] == 1) continue;
    bool const is_reduced = (axes >> i & 1U) != 0;
    if (problem.rank > 0 && problem.axes[problem.rank - 1].reduced == is_reduced) {
      problem.axes[problem.rank - 1].extent *= dims[i];
    } else {
      problem.axes[problem.rank++] = {dims[i], is_reduced};
    }
  }
  if (problem.rank == 0) problem.axes[problem.rank++] = {1, true};
  if (problem.rank == 1 && !problem.axes[0].reduced) {  // every element by itself
    problem.axes[problem.rank++] = {1, true};
  }
  if (!is_tensor(x, how.input) || !is_tensor(y, how.output)) return cudaErrorInvalidValue;
  if (workspace == nullptr || !is_aligned(workspace, 16)) return cudaErrorInvalidValue;
  return run(problem);
}

}  // namespace tf2trt::plugins

TF2TRT_PLUGINS_EXPORT int tf2trt_l2_normalize(void const* x, void* y, std::int32_t input_type, std::int32_t output_type,
                                              float input_scale, float output_scale, std::int32_t rank,
                                              std::int64_t const* dims, std::uint32_t axes, float epsilon,
                                              std::int32_t lp_normalization, void* workspace, void* stream) {
  using namespace tf2trt::plugins;
  L2Normalization const how{static_cast<DataType>(input_type),
                            static_cast<DataType>(output_type),
                            input_scale,
                            output_scale,
                            epsilon,
                            lp_normalization != 0};
  return l2_normalize(x, y, how, dims, rank, axes, workspace, static_cast<cudaStream_t>(stream));
}

TF2TRT_PLUGINS_EXPORT std::int64_t tf2trt_l2_normalize_workspace() {
  return static_cast<std::int64_t>(tf2trt::plugins::kL2WorkspaceBytes);
}
