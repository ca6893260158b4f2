// Memory for an engine's inputs and outputs.
#pragma once

#include <cstddef>
#include <memory>

namespace tf2trt {

// Device memory. Never empty: zero bytes are rounded up, since TensorRT wants an address for an empty tensor too.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes);
  [[nodiscard]] void* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Free {
    void operator()(void* data) const noexcept;
  };
  std::size_t size_;
  std::unique_ptr<void, Free> data_;
};

// Host memory that the GPU can copy from and to without a detour (page-locked).
class PinnedBuffer {
 public:
  // `mapped`: the GPU can read and write it in place too.
  explicit PinnedBuffer(std::size_t bytes, bool mapped = false);
  [[nodiscard]] void* data() const noexcept { return data_.get(); }
  // Where the GPU sees it; nullptr where it is not mapped.
  [[nodiscard]] void* device_data() const noexcept { return device_data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Free {
    void operator()(void* data) const noexcept;
  };
  std::size_t size_;
  std::unique_ptr<void, Free> data_;
  void* device_data_ = nullptr;
};

// Asynchronous on `stream`; the bytes from `offset` on, at most to the end of the smaller of the two. Throw
// Error(kUsage) past it.
void copy_to_device(DeviceBuffer const& to, PinnedBuffer const& from, std::size_t bytes, void* stream,
                    std::size_t offset = 0);
void copy_to_host(PinnedBuffer const& to, DeviceBuffer const& from, std::size_t bytes, void* stream);

// As std::memcpy, into memory that the GPU is going to read: what is large goes past the processor's caches, from which
// the GPU would have to fetch it line by line.
void copy_for_device(void* to, void const* from, std::size_t bytes) noexcept;

}  // namespace tf2trt
