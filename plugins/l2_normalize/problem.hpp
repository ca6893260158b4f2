// A checked call of l2_normalize: what the kernels are chosen from.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tf2trt::plugins {

// How a sum of squares becomes the factor of its elements.
struct Norm {
  float epsilon;
  float square_gain;  // real value^2 = square_gain * element^2: the square of an INT8 tensor's scale
  float gain;         // y = x * gain * rsqrt(...): the scale, over the output's
  bool lp;
  unsigned zero;  // 0, for afresh()
};

// Neighbouring axes, all kept or all reduced, as one. Those of extent 1 are gone.
struct Axis {
  std::int64_t extent;
  bool reduced;
};

struct Problem {
  void const* x;
  void* y;
  Norm norm;
  Axis axes[8];
  int rank;
  float* partials;
  cudaStream_t stream;
};

template <class In, class Out>
cudaError_t run(Problem const& problem);  // launch.cuh; compiled in fp32.cu, fp16.cu, bf16.cu and int8.cu

}  // namespace tf2trt::plugins
