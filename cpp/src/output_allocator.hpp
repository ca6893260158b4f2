// OutputAllocator as TensorRT calls it, through IOutputAllocator.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "abi/callbacks.hpp"
#include "tf2trt/engine.hpp"

namespace tf2trt::detail {

// Stands between one output of a context and its allocator. An exception ends here, and enqueue throws it again.
class OutputAdapter final : public abi::OutputSink {
 public:
  OutputAdapter(std::string name, std::shared_ptr<OutputAllocator> allocator);

  // An nvinfer1::IOutputAllocator of the generation's layout.
  [[nodiscard]] void* handle(int generation) noexcept;
  // What the allocator threw since the last call; nullptr for nothing.
  [[nodiscard]] std::exception_ptr take_error() noexcept { return std::exchange(thrown_, nullptr); }

  void* on_reallocate(char const* name, void* current, std::uint64_t size, std::uint64_t alignment) noexcept override;
  void on_shape(char const* name, std::int64_t const* extents, std::int32_t count) noexcept override;

 private:
  std::string name_;
  std::shared_ptr<OutputAllocator> allocator_;
  std::exception_ptr thrown_;
  abi::OutputAllocator8 narrow_{*this};
  abi::OutputAllocator10 wide_{*this};
};

}  // namespace tf2trt::detail
