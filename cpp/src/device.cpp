#include "tf2trt/device.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "cuda_driver.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

// The kernel's estimate of what programs can have without swapping, from /proc/meminfo (see proc(5)); 0 where it says
// nothing.
std::size_t available_host_memory() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  std::size_t kilobytes = 0;
  while (file >> word) {
    if (word == "MemAvailable:") return file >> kilobytes ? kilobytes * 1024 : 0;
  }
  return 0;
}

}  // namespace

Device device(int ordinal) {
  cuda::Driver const& driver = cuda::driver();
  int count = 0;
  cuda::check(driver.device_count(&count), "cuDeviceGetCount");
  if (ordinal < 0 || ordinal >= count) {
    throw Error(ErrorKind::kDevice, "device " + std::to_string(ordinal) + ": there is no such GPU",
                {std::to_string(ordinal), "0 to " + std::to_string(count - 1), ""});
  }
  // CUdevice_attribute's values.
  constexpr int kComputeCapabilityMajor = 75;
  constexpr int kComputeCapabilityMinor = 76;
  constexpr int kIntegrated = 18;
  Device device;
  std::array<char, 256> name{};
  int integrated = 0;
  cuda::check(driver.device_name(name.data(), static_cast<int>(name.size()), ordinal), "cuDeviceGetName");
  cuda::check(driver.device_attribute(&device.compute_capability[0], kComputeCapabilityMajor, ordinal),
              "cuDeviceGetAttribute");
  cuda::check(driver.device_attribute(&device.compute_capability[1], kComputeCapabilityMinor, ordinal),
              "cuDeviceGetAttribute");
  cuda::check(driver.device_attribute(&integrated, kIntegrated, ordinal), "cuDeviceGetAttribute");
  cuda::check(driver.device_memory(&device.total_memory, ordinal), "cuDeviceTotalMem");
  cuda::check(driver.driver_version(&device.driver_version), "cuDriverGetVersion");
  device.name = name.data();
  device.integrated = integrated != 0;
  return device;
}

std::size_t available_memory() {
  cuda::ContextGuard const guard;
  std::size_t free = 0;
  std::size_t total = 0;
  cuda::check(cuda::driver().memory_info(&free, &total), "cuMemGetInfo");
  // Where the GPU shares the host's memory, CUDA does not count what the file cache holds and would give back.
  return cuda::is_integrated() ? std::max(free, available_host_memory()) : free;
}

}  // namespace tf2trt
