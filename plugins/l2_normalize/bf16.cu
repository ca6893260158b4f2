#include "l2_normalize/launch.cuh"

namespace tf2trt::plugins {
template cudaError_t run<__nv_bfloat16, __nv_bfloat16>(Problem const&);
}  // namespace tf2trt::plugins
