// CUDA's driver API, loaded when it is first needed: tf2trt is built without CUDA's headers and its libraries load on
// machines that have no driver. The names and signatures are those of cuda.h; they have been stable since CUDA 11.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tf2trt::cuda {

using Result = int;
using DevicePtr = unsigned long long;
using Handle = void*;  // CUstream, CUevent, CUcontext, CUgraph, CUgraphExec

struct Driver {
  Result (*init)(unsigned);
  Result (*driver_version)(int*);
  Result (*device_count)(int*);
  Result (*device_name)(char*, int, int);
  Result (*device_attribute)(int*, int, int);
  Result (*device_memory)(std::size_t*, int);
  Result (*primary_retain)(Handle*, int);
  Result (*context_push)(Handle);
  Result (*context_pop)(Handle*);
  Result (*context_current)(Handle*);
  Result (*context_device)(int*);
  Result (*error_name)(Result, char const**);
  Result (*error_string)(Result, char const**);
  Result (*memory_alloc)(DevicePtr*, std::size_t);
  Result (*memory_free)(DevicePtr);
  Result (*memory_info)(std::size_t*, std::size_t*);
  Result (*host_alloc)(void**, std::size_t, unsigned);
  Result (*host_free)(void*);
  Result (*host_device_pointer)(DevicePtr*, void*, unsigned);
  Result (*pointer_attribute)(void*, int, DevicePtr);
  Result (*copy_to_device)(DevicePtr, void const*, std::size_t, Handle);
  Result (*copy_to_host)(void*, DevicePtr, std::size_t, Handle);
  Result (*stream_create)(Handle*, unsigned);
  Result (*stream_destroy)(Handle);
  Result (*stream_synchronize)(Handle);
  Result (*stream_query)(Handle);
  Result (*capture_begin)(Handle, int);
  Result (*capture_end)(Handle, Handle*);
  Result (*graph_instantiate)(Handle*, Handle, unsigned long long);
  Result (*graph_launch)(Handle, Handle);
  Result (*graph_exec_destroy)(Handle);
  Result (*graph_destroy)(Handle);
  Result (*event_create)(Handle*, unsigned);
  Result (*event_destroy)(Handle);
  Result (*event_record)(Handle, Handle);
  Result (*event_synchronize)(Handle);
  Result (*stream_wait)(Handle, Handle, unsigned);
  Result (*event_elapsed)(float*, Handle, Handle);
};

// Whether there is a driver and at least one GPU.
bool available() noexcept;
// Why not, in words; "" where there is.
std::string why_not();
// Throws Error(kDevice) saying what is missing.
Driver const& driver();
// Throws Error(kDevice) naming the call where `result` is not CUDA_SUCCESS.
void check(Result result, char const* call);

// The primary context of a device, retained once and kept, as CUDA's runtime API does.
Handle primary_context(int ordinal);

// Makes a context current while it lives. tf2trt never makes a context of its own.
class ContextGuard {
 public:
  // The context that the thread has; where it has none, the primary context of device 0.
  ContextGuard();
  explicit ContextGuard(Handle context);
  ~ContextGuard();
  ContextGuard(ContextGuard const&) = delete;
  ContextGuard& operator=(ContextGuard const&) = delete;
  ContextGuard(ContextGuard&&) = delete;
  ContextGuard& operator=(ContextGuard&&) = delete;

  [[nodiscard]] Handle context() const noexcept { return context_; }

 private:
  Handle context_ = nullptr;
  bool pushed_ = false;
};

// Whether the GPU of the current context shares the host's memory.
bool is_integrated();

// Gives something back to CUDA from a destructor: what goes wrong there cannot be reported.
template <class F>
void release(F free) noexcept {
  try {
    ContextGuard const guard;
    free(driver());
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

}  // namespace tf2trt::cuda
