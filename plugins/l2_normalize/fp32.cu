#include "l2_normalize/launch.cuh"

namespace tf2trt::plugins {
template cudaError_t run<float, float>(Problem const&);
}  // namespace tf2trt::plugins
