// A CUDA stream, and events on it. Both work in the primary context of device 0 unless the calling thread has another
// context current.
#pragma once

#include <memory>

namespace tf2trt {

// Owns a stream. Functions that take a stream take its handle (a CUstream or cudaStream_t), so that a program may use
// its own.
class Stream {
 public:
  Stream();
  [[nodiscard]] void* handle() const noexcept { return handle_.get(); }
  // Blocks until all work on the stream is done. Throws Error(kDevice) with what went wrong there.
  void synchronize() const;

 private:
  struct Destroy {
    void operator()(void* stream) const noexcept;
  };
  std::unique_ptr<void, Destroy> handle_;
};

// A point in a stream's work, for timing.
class Event {
 public:
  Event();
  void record(void* stream) const;
  // Milliseconds from `start` to this event; waits for this event.
  [[nodiscard]] float since(Event const& start) const;

 private:
  struct Destroy {
    void operator()(void* event) const noexcept;
  };
  std::unique_ptr<void, Destroy> handle_;
};

}  // namespace tf2trt
