// The inside of the fake CUDA driver: what there is, and the one lock over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fake_cuda {

using DevicePtr = unsigned long long;
using Handle = void*;

// CUresult.
enum Code {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kInvalidDevice = 101,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotReady = 600,
  kIllegalAddress = 700,
  kContextIsDestroyed = 709,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureMerge = 902,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCaptureIsolation = 905,
  kCapturedEvent = 907,
  kCaptureWrongThread = 908,
};

struct Context {
  int ordinal = 0;
  int retained = 0;        // a primary context's
  Handle legacy_stream{};  // of the handles 0 and 1
  Handle thread_stream{};  // of the handle 2
};

struct Memory {
  std::byte* storage = nullptr;
  std::size_t size = 0;
  DevicePtr device = 0;  // 0: not to be reached from the device
  bool on_host = false;  // then `storage` is its address there
  Handle context = nullptr;
  bool alive = true;
  int queued = 0;  // how much work that has not run uses it
};
using MemoryPtr = std::shared_ptr<Memory>;

// One recording of an event.
struct Record {
  Handle stream = nullptr;
  bool done = false;
  double time = 0;
  int queries = 0;
};

struct Work {
  std::function<void()> run;
  std::vector<MemoryPtr> memory;
  std::shared_ptr<Record> records;
  std::shared_ptr<Record> waits;
};

struct Capture {
  // A stream that takes part: how much it did, and whether the origin waits for all of it.
  struct Member {
    int count = 0;
    bool joined = true;
  };
  Handle origin = nullptr;
  int mode = 0;
  std::thread::id thread;
  bool broken = false;
  std::vector<Work> nodes;  // in an order that keeps every dependency
  std::map<Handle, Member> members;
};

struct Stream {
  Handle context = nullptr;
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;
  int queries = 0;
};

struct Event {
  Handle context = nullptr;
  bool timed = true;
  std::shared_ptr<Record> record;  // the last one outside captures
  std::weak_ptr<Capture> capture;  // where the last one was in a capture
  bool captured = false;
  Handle captured_stream = nullptr;
  int captured_count = 0;
};

struct Graph {
  Handle context = nullptr;
  std::vector<Work> nodes;
};

struct Failure {
  int nth;
  int code;
};

struct World {
  World();

  // Counts a violation and gives `code` back.
  int refuse(int code, std::string const& text);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): no memory is behind it, so that following it is a crash
  Handle new_handle() { return reinterpret_cast<Handle>(next_handle_ += 16); }

  // Each finds an object that may be used with `context` current (nullptr: no context is), or refuses: then nullptr,
  // and `code` says with what.
  Stream* stream(Handle& handle, Handle context, int& code);
  Event* event(Handle handle, Handle context, int& code);
  // Memory that holds all of the bytes.
  MemoryPtr on_device(DevicePtr address, std::size_t bytes, Handle context, int& code);
  // The same for the host; nullptr with kSuccess for pageable memory.
  MemoryPtr on_host(void const* address, std::size_t bytes, Handle context, int& code);

  int allocate(Handle context, std::size_t bytes, bool on_host, bool mapped, MemoryPtr& memory);
  int free(MemoryPtr const& memory, Handle context);

  // Queues work, or adds it to the stream's capture.
  int add(Handle stream, Work work);
  // Runs a stream's work: all of it, or until `until` is done.
  void run(Stream& stream, Record const* until);
  // Breaks the captures that forbid unsafe calls to this thread; kCaptureUnsupported where there are some.
  int unsafe_call(char const* function);
  // All that lives in a context is gone.
  void drop_context(Handle handle);

  std::recursive_mutex mutex;
  bool initialized = false;
  std::map<Handle, Context> contexts;
  std::map<int, Handle> primary;
  std::map<Handle, Stream> streams;
  std::map<Handle, Event> events;
  std::map<Handle, Graph> graphs;
  std::map<Handle, Graph> execs;
  std::vector<std::shared_ptr<Capture>> captures;
  std::map<DevicePtr, MemoryPtr> by_device;           // freed memory too
  std::map<std::uintptr_t, MemoryPtr> by_host;        // freed memory too, while its pages are kept
  std::deque<MemoryPtr> kept;                         // freed pages of the host
  std::map<std::string, long long> settings;          // see fake_cuda_set
  std::map<std::string, std::vector<Failure>> fails;  // see fake_cuda_fail
  std::map<std::string, long long> counts;            // since the start; and the live bytes
  std::string last_violation;
  double clock = 0;  // milliseconds of a GPU that takes a microsecond for everything

 private:
  std::uintptr_t next_handle_ = 0x5000;
  DevicePtr next_device_;
  DevicePtr next_mapped_;
};

World& world();
// The contexts that this thread pushed.
std::vector<Handle>& stack();

// What a function needs before it starts.
enum Needs : unsigned {
  kNothing = 0,
  kDriver = 1,          // cuInit, which the others need too
  kCurrent = 2,         // a current context
  kMayLackCurrent = 4,  // none: CUDA waits for a handle without one too, but a destroyed one is refused
  kUnsafe = 8,          // no capture that forbids it to this thread
};

// What the function fails with before it starts, and the current context.
int before(char const* function, unsigned needs, Handle& context);

// Every driver function: `body(current context)` under the lock.
template <class Body>
int call(char const* function, unsigned needs, Body&& body) {
  std::scoped_lock const lock(world().mutex);
  Handle context = nullptr;
  if (int const code = before(function, needs, context); code != kSuccess) return code;
  return body(context);
}

}  // namespace fake_cuda
