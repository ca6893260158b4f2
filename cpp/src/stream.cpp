#include "tf2trt/stream.hpp"

#include "cuda_driver.hpp"

namespace tf2trt {
namespace {

constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING: not ordered with the legacy default stream

}  // namespace

Stream::Stream() {
  cuda::ContextGuard const guard;
  void* stream = nullptr;
  cuda::check(cuda::driver().stream_create(&stream, kNonBlocking), "cuStreamCreate");
  handle_.reset(stream);
}

void Stream::synchronize() const { cuda::check(cuda::driver().stream_synchronize(handle()), "cuStreamSynchronize"); }

void Stream::Destroy::operator()(void* stream) const noexcept {
  cuda::release([stream](auto const& driver) { driver.stream_destroy(stream); });
}

Event::Event() {
  cuda::ContextGuard const guard;
  void* event = nullptr;
  cuda::check(cuda::driver().event_create(&event, 0), "cuEventCreate");
  handle_.reset(event);
}

void Event::record(void* stream) const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().event_record(handle_.get(), stream), "cuEventRecord");
}

float Event::since(Event const& start) const {
  float milliseconds = 0;
  cuda::check(cuda::driver().event_synchronize(handle_.get()), "cuEventSynchronize");
  cuda::check(cuda::driver().event_elapsed(&milliseconds, start.handle_.get(), handle_.get()), "cuEventElapsedTime");
  return milliseconds;
}

void Event::Destroy::operator()(void* event) const noexcept {
  cuda::release([event](auto const& driver) { driver.event_destroy(event); });
}

}  // namespace tf2trt
