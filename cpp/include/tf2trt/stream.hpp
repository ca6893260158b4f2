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

// A point in a stream's work, for timing, or for another stream to wait for.
class Event {
 public:
  explicit Event(bool timing = true);
  void record(void* stream) const;
  // What is put on `stream` from now on starts after this event; the host does not wait.
  void wait_on(void* stream) const;
  // Blocks until what was on the stream when it was recorded is done.
  void synchronize() const;
  // Milliseconds from `start` to this event; waits for this event.
  [[nodiscard]] float since(Event const& start) const;

 private:
  struct Destroy {
    void operator()(void* event) const noexcept;
  };
  std::unique_ptr<void, Destroy> handle_;
};

// What is put on `consumer` from now on starts after all that is on `producer` now; the host does not wait. Handles 1
// and 2 are CUDA's legacy and per-thread default streams (CU_STREAM_LEGACY, CU_STREAM_PER_THREAD). Throws Error(kUsage)
// for a null handle, which may mean either.
void wait(void* consumer, void* producer);

}  // namespace tf2trt
