// What tests ask of the fake CUDA driver (fake_cuda*.cpp): a libcuda.so.1 over host memory that checks how it is used.
// README.md in tests/cpp says why its word can be taken and what it does not show.
//
// Work on a stream is deferred: it runs when something waits for it, in order, on the thread that waits. What a real
// driver would let pass or punish at random is a violation here: the call fails with CUDA's code, and it is counted.
#pragma once

#include <cstddef>

extern "C" {

// Live objects: "device_bytes", "pinned_bytes", "device_allocations", "pinned_allocations", "streams", "events",
// "graphs", "graph_execs", "contexts", "pending" (work queued and not run).
// Since the start or fake_cuda_reset: "h2d_copies", "h2d_bytes", "d2h_copies", "d2h_bytes", "d2d_copies", "d2d_bytes"
// (all when they run, in replayed graphs too), "pageable_copies" (when they are queued), "kernels", "graph_launches",
// "captures" (ended well), "synchronizations", "queries", "without_context" (a wait or a query where no context was
// current, which CUDA allows), "violations". -1 for another name.
long long fake_cuda_count(char const* name);
// The last violation's text, "" where there was none. Good until this thread asks again.
char const* fake_cuda_last_violation();
// Takes the counts since the start back to zero, forgets violations and all that was set. Objects stay.
void fake_cuda_reset();

// "free" and "total" (bytes that cuMemGetInfo reports where nothing is allocated), "integrated", "devices", "delay"
// (how many queries answer CUDA_ERROR_NOT_READY before work is done; 1 unless told). False for another name.
// The environment sets the same before the first call: TF2TRT_FAKE_CUDA_FREE, _TOTAL, _INTEGRATED, _DEVICES, _DELAY.
bool fake_cuda_set(char const* name, long long value);
// The nth next call of a driver function ("cuMemAlloc_v2") fails with `code`; every call where nth is 0. In the
// environment: TF2TRT_FAKE_CUDA_FAIL="cuMemAlloc_v2:3:2,cuStreamBeginCapture_v2:0:900".
// TF2TRT_FAKE_CUDA_ABORT=1 ends the process at the first violation, so that a debugger shows where it is.
void fake_cuda_fail(char const* function, int nth, int code);

// What the fake TensorRT needs of its driver.
// Memory that a kernel uses, by device address.
struct FakeCudaRange {
  unsigned long long address;
  std::size_t bytes;
};
// Queues `kernel(argument)` on a stream, or adds it to the stream's capture; a CUresult. `release(argument)` is called
// once, when it will not run again, and at once where the result is not CUDA_SUCCESS.
int fake_cuda_enqueue(void* stream, void (*kernel)(void*), void* argument, void (*release)(void*),
                      FakeCudaRange const* ranges, std::size_t count);
// Where a kernel finds the bytes at a device address; nullptr, and a violation, where they are not allocated.
void* fake_cuda_storage(unsigned long long address, std::size_t bytes);
// Whether it is a device's primary context, which CUDA's runtime inside TensorRT makes current where none is.
bool fake_cuda_is_primary(void* context);
// Counts a violation that another fake saw.
void fake_cuda_violation(char const* text);

}  // extern "C"
