#include "output_allocator.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "abi/call.hpp"
#include "engine_state.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/logger.hpp"

namespace tf2trt {

namespace detail {

OutputAdapter::OutputAdapter(std::string name, std::shared_ptr<OutputAllocator> allocator)
    : name_(std::move(name)), allocator_(std::move(allocator)) {}

void* OutputAdapter::handle(int generation) noexcept {
  return generation >= 10 ? static_cast<void*>(&wide_) : static_cast<void*>(&narrow_);
}

void* OutputAdapter::on_reallocate(char const* /*name*/, void* /*current*/, std::uint64_t size,
                                   std::uint64_t alignment) noexcept {
  try {
    void* memory = allocator_->allocate(name_, size);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): an address is looked at
    if (alignment != 0 && reinterpret_cast<std::uintptr_t>(memory) % alignment != 0) {
      throw Error(ErrorKind::kUsage, "output \"" + name_ + "\": its memory is not aligned",
                  {"", "an address that is a multiple of " + std::to_string(alignment), ""});
    }
    return memory;
  } catch (...) {
    thrown_ = std::current_exception();
    return nullptr;
  }
}

void OutputAdapter::on_shape(char const* /*name*/, std::int64_t const* extents, std::int32_t count) noexcept {
  try {
    allocator_->shape(name_, Shape(extents, extents + std::clamp(count, 0, abi::kMaxDims)));
  } catch (...) {
    thrown_ = std::current_exception();
  }
}

}  // namespace detail

void ExecutionContext::State::rethrow_output_errors() {
  std::exception_ptr first;
  for (auto const& [name, adapter] : outputs) {
    std::exception_ptr const error = adapter ? adapter->take_error() : nullptr;
    if (!first) first = error;
  }
  if (first) std::rethrow_exception(first);
}

void ExecutionContext::set_output_allocator(std::string const& name, std::shared_ptr<OutputAllocator> allocator) {
  state_->engine->require_output(name);
  abi::Api const& api = state_->api();
  std::unique_ptr<detail::OutputAdapter> adapter;
  if (allocator) adapter = std::make_unique<detail::OutputAdapter>(name, std::move(allocator));
  void* const handle = adapter ? adapter->handle(api.generation()) : nullptr;
  auto& kept = state_->outputs[name];
  LogCapture const log;
  if (!abi::call<abi::Method::VExecutionContext_setOutputAllocator>(api, state_->get(), name.c_str(), handle)) {
    throw Error(ErrorKind::kInput, "output \"" + name + "\": its allocator cannot be set" + log.errors());
  }
  kept = std::move(adapter);
}

}  // namespace tf2trt
