// The fake CUDA driver: devices, contexts and memory. Names and signatures are those of cuda.h.
#include <algorithm>
#include <cstring>
#include <string>

#include "support/fake_cuda_world.hpp"

namespace fake_cuda {
namespace {

constexpr int kDriverVersion = 12020;
constexpr char const* kName = "Fake GPU";
constexpr unsigned kMapped = 2;  // CU_MEMHOSTALLOC_DEVICEMAP

struct Words {
  int code;
  char const* name;
  char const* text;
};
constexpr Words kWords[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kContextIsDestroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {kCaptureMerge, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate captures"},
    {kCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
    {kCaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {kCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {kCapturedEvent, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {kCaptureWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
};

int find_words(int code, char const** out, char const* Words::* which) {
  auto const* found = std::find_if(std::begin(kWords), std::end(kWords), [code](auto& w) { return w.code == code; });
  *out = found == std::end(kWords) ? nullptr : found->*which;
  return found == std::end(kWords) ? kInvalidValue : kSuccess;
}

int bad_device(int ordinal) {
  if (ordinal >= 0 && ordinal < world().settings["devices"]) return kSuccess;
  return world().refuse(kInvalidDevice, "device " + std::to_string(ordinal) + " does not exist");
}

}  // namespace
}  // namespace fake_cuda

using namespace fake_cuda;  // NOLINT(google-build-using-namespace): these are the namespace's way out

extern "C" {

int cuInit(unsigned /*flags*/) {
  return call("cuInit", kNothing, [](Handle /*context*/) {
    world().initialized = true;
    return kSuccess;
  });
}

int cuDriverGetVersion(int* version) {
  *version = kDriverVersion;
  return kSuccess;
}

int cuGetErrorName(int code, char const** name) { return find_words(code, name, &Words::name); }
int cuGetErrorString(int code, char const** text) { return find_words(code, text, &Words::text); }

int cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", kDriver, [&](Handle /*context*/) {
    *count = static_cast<int>(world().settings["devices"]);
    return kSuccess;
  });
}

int cuDeviceGetName(char* name, int size, int ordinal) {
  return call("cuDeviceGetName", kDriver, [&](Handle /*context*/) {
    if (int const code = bad_device(ordinal); code != kSuccess) return code;
    std::strncpy(name, kName, static_cast<std::size_t>(size));
    return static_cast<int>(kSuccess);
  });
}

int cuDeviceGetAttribute(int* value, int attribute, int ordinal) {
  return call("cuDeviceGetAttribute", kDriver, [&](Handle /*context*/) {
    if (int const code = bad_device(ordinal); code != kSuccess) return code;
    switch (attribute) {
      case 18:  // INTEGRATED
        *value = static_cast<int>(world().settings["integrated"]);
        return static_cast<int>(kSuccess);
      case 19:  // CAN_MAP_HOST_MEMORY
      case 41:  // UNIFIED_ADDRESSING
        *value = 1;
        return static_cast<int>(kSuccess);
      case 75:  // COMPUTE_CAPABILITY_MAJOR
        *value = 9;
        return static_cast<int>(kSuccess);
      case 76:  // COMPUTE_CAPABILITY_MINOR
        *value = 0;
        return static_cast<int>(kSuccess);
      default:
        return world().refuse(kInvalidValue, "device attribute " + std::to_string(attribute) + " has no fake");
    }
  });
}

int cuDeviceTotalMem_v2(std::size_t* bytes, int ordinal) {
  return call("cuDeviceTotalMem_v2", kDriver, [&](Handle /*context*/) {
    *bytes = static_cast<std::size_t>(world().settings["total"]);
    return bad_device(ordinal);
  });
}

int cuDevicePrimaryCtxRetain(Handle* context, int ordinal) {
  return call("cuDevicePrimaryCtxRetain", kDriver, [&](Handle /*context*/) {
    if (int const code = bad_device(ordinal); code != kSuccess) return code;
    World& w = world();
    Handle& primary = w.primary[ordinal];
    if (primary == nullptr) primary = w.new_handle();
    Context& c = w.contexts[primary];
    c.ordinal = ordinal;
    ++c.retained;
    *context = primary;
    return static_cast<int>(kSuccess);
  });
}

int cuDevicePrimaryCtxRelease_v2(int ordinal) {
  return call("cuDevicePrimaryCtxRelease_v2", kDriver, [&](Handle /*context*/) {
    World& w = world();
    Handle const primary = w.primary[ordinal];
    if (w.contexts.count(primary) == 0) {
      return w.refuse(kInvalidContext, "a primary context released more often than retained");
    }
    if (--w.contexts[primary].retained == 0) w.drop_context(primary);
    return static_cast<int>(kSuccess);
  });
}

int cuCtxCreate_v2(Handle* context, unsigned /*flags*/, int ordinal) {
  return call("cuCtxCreate_v2", kDriver, [&](Handle /*current*/) {
    if (int const code = bad_device(ordinal); code != kSuccess) return code;
    *context = world().new_handle();
    world().contexts[*context].ordinal = ordinal;
    stack().push_back(*context);
    return static_cast<int>(kSuccess);
  });
}

int cuCtxDestroy_v2(Handle context) {
  return call("cuCtxDestroy_v2", kDriver | kUnsafe, [&](Handle current) -> int {
    World& w = world();
    bool const primary = std::any_of(w.primary.begin(), w.primary.end(), [&](auto& p) { return p.second == context; });
    if (primary || w.contexts.count(context) == 0) {
      return w.refuse(kInvalidContext, "cuCtxDestroy of what cuCtxCreate did not give, or of a destroyed context");
    }
    w.drop_context(context);
    if (current == context) stack().pop_back();
    return kSuccess;
  });
}

int cuCtxPushCurrent_v2(Handle context) {
  return call("cuCtxPushCurrent_v2", kDriver, [&](Handle /*current*/) -> int {
    if (world().contexts.count(context) == 0) return world().refuse(kInvalidContext, "a context that does not exist");
    stack().push_back(context);
    return kSuccess;
  });
}

int cuCtxPopCurrent_v2(Handle* context) {
  return call("cuCtxPopCurrent_v2", kDriver, [&](Handle /*current*/) -> int {
    if (stack().empty()) return world().refuse(kInvalidContext, "cuCtxPopCurrent without a current context");
    if (context != nullptr) *context = stack().back();
    stack().pop_back();
    return kSuccess;
  });
}

int cuCtxSetCurrent(Handle context) {
  return call("cuCtxSetCurrent", kDriver, [&](Handle current) -> int {
    if (context != nullptr && world().contexts.count(context) == 0) {
      return world().refuse(kInvalidContext, "a context that does not exist");
    }
    if (current != nullptr) stack().pop_back();
    if (context != nullptr) stack().push_back(context);
    return kSuccess;
  });
}

int cuCtxGetCurrent(Handle* context) {
  return call("cuCtxGetCurrent", kDriver, [&](Handle current) {
    *context = current;
    return kSuccess;
  });
}

int cuCtxGetDevice(int* ordinal) {
  return call("cuCtxGetDevice", kCurrent, [&](Handle current) {
    *ordinal = world().contexts[current].ordinal;
    return kSuccess;
  });
}

int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return call("cuMemGetInfo_v2", kCurrent, [&](Handle /*context*/) {
    World& w = world();
    *free = static_cast<std::size_t>(std::max(0LL, w.settings["free"] - w.counts["device_bytes"]));
    *total = static_cast<std::size_t>(w.settings["total"]);
    return kSuccess;
  });
}

int cuMemAlloc_v2(DevicePtr* address, std::size_t bytes) {
  return call("cuMemAlloc_v2", kCurrent | kUnsafe, [&](Handle context) {
    MemoryPtr memory;
    int const code = world().allocate(context, bytes, false, false, memory);
    if (code == kSuccess) *address = memory->device;
    return code;
  });
}

int cuMemFree_v2(DevicePtr address) {
  return call("cuMemFree_v2", kCurrent | kUnsafe, [&](Handle context) -> int {
    auto const found = world().by_device.find(address);
    if (found == world().by_device.end() || found->second->on_host) {
      return world().refuse(kInvalidValue, "cuMemFree of what cuMemAlloc did not give");
    }
    return world().free(found->second, context);
  });
}

int cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
  return call("cuMemHostAlloc", kCurrent | kUnsafe, [&](Handle context) {
    MemoryPtr memory;
    int const code = world().allocate(context, bytes, true, (flags & kMapped) != 0, memory);
    if (code == kSuccess) *address = memory->storage;
    return code;
  });
}

int cuMemFreeHost(void* address) {
  return call("cuMemFreeHost", kCurrent | kUnsafe, [&](Handle context) -> int {
    auto const found = world().by_host.find(reinterpret_cast<std::uintptr_t>(address));
    if (found == world().by_host.end()) {
      return world().refuse(kInvalidValue, "cuMemFreeHost of what cuMemHostAlloc did not give");
    }
    return world().free(found->second, context);
  });
}

int cuMemHostGetDevicePointer_v2(DevicePtr* device, void* host, unsigned /*flags*/) {
  return call("cuMemHostGetDevicePointer_v2", kCurrent, [&](Handle context) -> int {
    int code = kSuccess;
    auto const memory = world().on_host(host, 1, context, code);
    if (code != kSuccess) return code;
    if (memory == nullptr || memory->device == 0) {
      return world().refuse(kInvalidValue, "cuMemHostGetDevicePointer of memory that was not allocated as mapped");
    }
    *device = memory->device + static_cast<DevicePtr>(static_cast<std::byte*>(host) - memory->storage);
    return kSuccess;
  });
}

// An address that CUDA does not know is an answer, not a mistake: ordinary memory is recognised so.
int cuPointerGetAttribute(void* value, int attribute, DevicePtr address) {
  return call("cuPointerGetAttribute", kDriver, [&](Handle /*context*/) -> int {
    World& w = world();
    MemoryPtr memory;
    auto const holds = [&](auto const& map, auto start) {
      auto found = map.upper_bound(address);
      if (found == map.begin()) return;
      auto const& candidate = std::prev(found)->second;
      if (candidate->alive && address - start(*candidate) < candidate->size) memory = candidate;
    };
    holds(w.by_device, [](Memory const& m) { return m.device; });
    if (memory == nullptr) {
      holds(w.by_host, [](Memory const& m) { return reinterpret_cast<std::uintptr_t>(m.storage); });
    }
    if (memory == nullptr) return kInvalidValue;
    switch (attribute) {
      case 1:  // CONTEXT
        *static_cast<Handle*>(value) = memory->context;
        return kSuccess;
      case 2:  // MEMORY_TYPE: CU_MEMORYTYPE_HOST or _DEVICE
        *static_cast<unsigned*>(value) = memory->on_host ? 1 : 2;
        return kSuccess;
      case 9:  // DEVICE_ORDINAL
        *static_cast<int*>(value) = w.contexts[memory->context].ordinal;
        return kSuccess;
      default:
        return w.refuse(kInvalidValue, "pointer attribute " + std::to_string(attribute) + " has no fake");
    }
  });
}

}  // extern "C"
