// The GPU.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace tf2trt {

struct Device {
  std::string name;
  std::array<int, 2> compute_capability{};
  std::size_t total_memory = 0;  // bytes
  bool integrated = false;       // shares memory with the CPU, as on a Jetson
  int driver_version = 0;        // the CUDA version that the driver serves: 13000 is 13.0
};

// Throws Error(kDevice), saying whether the driver, the GPU or only this ordinal is missing.
Device device(int ordinal = 0);

// Bytes of device memory that can be had now on the GPU of the thread's context (or GPU 0). On an integrated GPU that
// is what the whole system could give, memory that only caches files included.
std::size_t available_memory();

}  // namespace tf2trt
