#include "l2_normalize/launch.cuh"

namespace tf2trt::plugins {
template cudaError_t run<std::int8_t, std::int8_t>(Problem const&);
template cudaError_t run<std::int8_t, float>(Problem const&);
template cudaError_t run<std::int8_t, __half>(Problem const&);
}  // namespace tf2trt::plugins
