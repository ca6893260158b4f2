#include "tf2trt/buffer.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "cuda_driver.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

// NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast, performance-no-int-to-ptr): CUdeviceptr is an integer
cuda::DevicePtr address(void* data) { return reinterpret_cast<cuda::DevicePtr>(data); }
void* pointer(cuda::DevicePtr address) { return reinterpret_cast<void*>(address); }
// NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast, performance-no-int-to-ptr)

void check_size(std::size_t bytes, std::size_t to, std::size_t from) {
  if (bytes <= std::min(to, from)) return;
  throw Error(ErrorKind::kUsage, "copy: more bytes than the buffers hold",
              {std::to_string(bytes) + " bytes", "at most " + std::to_string(std::min(to, from)), ""});
}

}  // namespace

DeviceBuffer::DeviceBuffer(std::size_t bytes) : size_(bytes) {
  cuda::ContextGuard const guard;
  cuda::DevicePtr data = 0;
  cuda::check(cuda::driver().memory_alloc(&data, std::max<std::size_t>(bytes, 1)), "cuMemAlloc");
  data_.reset(pointer(data));
}

void DeviceBuffer::Free::operator()(void* data) const noexcept {
  cuda::release([data](auto const& driver) { driver.memory_free(address(data)); });
}

PinnedBuffer::PinnedBuffer(std::size_t bytes, bool mapped) : size_(bytes) {
  constexpr unsigned kDeviceMap = 2;  // CU_MEMHOSTALLOC_DEVICEMAP
  cuda::ContextGuard const guard;
  void* data = nullptr;
  cuda::check(cuda::driver().host_alloc(&data, std::max<std::size_t>(bytes, 1), mapped ? kDeviceMap : 0),
              "cuMemHostAlloc");
  data_.reset(data);
  if (!mapped) return;
  cuda::DevicePtr device = 0;
  cuda::check(cuda::driver().host_device_pointer(&device, data, 0), "cuMemHostGetDevicePointer");
  device_data_ = pointer(device);
}

void PinnedBuffer::Free::operator()(void* data) const noexcept {
  cuda::release([data](auto const& driver) { driver.host_free(data); });
}

void copy_to_device(DeviceBuffer const& to, PinnedBuffer const& from, std::size_t bytes, void* stream,
                    std::size_t offset) {
  check_size(offset + bytes, to.size(), from.size());
  cuda::ContextGuard const guard;
  auto const* source = static_cast<std::byte const*>(from.data()) + offset;
  cuda::check(cuda::driver().copy_to_device(address(to.data()) + offset, source, bytes, stream), "cuMemcpyHtoDAsync");
}

void copy_to_host(PinnedBuffer const& to, DeviceBuffer const& from, std::size_t bytes, void* stream) {
  check_size(bytes, to.size(), from.size());
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().copy_to_host(to.data(), address(from.data()), bytes, stream), "cuMemcpyDtoHAsync");
}

void copy_for_device(void* to, void const* from, std::size_t bytes) noexcept {
#if defined(__SSE2__)
  constexpr std::size_t kLarge = std::size_t{1} << 17U;  // less lies in the caches already, and copies faster there
  constexpr std::size_t kLine = 64;
  if (bytes >= kLarge) {
    auto* target = static_cast<std::byte*>(to);
    auto const* source = static_cast<std::byte const*>(from);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): alignment is a property of the number
    std::size_t const head = (kLine - reinterpret_cast<std::uintptr_t>(target) % kLine) % kLine;
    std::memcpy(target, source, head);
    std::size_t done = head;
    for (; done + kLine <= bytes; done += kLine) {
      for (std::size_t k = 0; k < kLine; k += sizeof(__m128i)) {
        __m128i part;
        std::memcpy(&part, source + done + k, sizeof part);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how the instruction is called
        _mm_stream_si128(reinterpret_cast<__m128i*>(target + done + k), part);
      }
    }
    _mm_sfence();  // before the GPU is told to read
    std::memcpy(target + done, source + done, bytes - done);
    return;
  }
#endif
  if (bytes != 0) std::memcpy(to, from, bytes);
}

}  // namespace tf2trt
