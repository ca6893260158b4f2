#include "tf2trt/stream.hpp"

#include "cuda_driver.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

constexpr unsigned kNonBlocking = 1;    // CU_STREAM_NON_BLOCKING: not ordered with the legacy default stream
constexpr unsigned kDisableTiming = 2;  // CU_EVENT_DISABLE_TIMING

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

Event::Event(bool timing) {
  cuda::ContextGuard const guard;
  void* event = nullptr;
  cuda::check(cuda::driver().event_create(&event, timing ? 0 : kDisableTiming), "cuEventCreate");
  handle_.reset(event);
}

void Event::record(void* stream) const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().event_record(handle_.get(), stream), "cuEventRecord");
}

void Event::wait_on(void* stream) const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().stream_wait(stream, handle_.get(), 0), "cuStreamWaitEvent");
}

void Event::synchronize() const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().event_synchronize(handle_.get()), "cuEventSynchronize");
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

void wait(void* consumer, void* producer) {
  if (consumer == nullptr || producer == nullptr) {
    throw Error(ErrorKind::kUsage, "stream: 0 may mean more than one stream",
                {"0", "1 (legacy default), 2 (per-thread default) or a stream's handle", ""});
  }
  if (consumer == producer) return;
  Event const event(false);  // CUDA keeps what it needs of it after it is destroyed
  event.record(producer);
  event.wait_on(consumer);
}

}  // namespace tf2trt
