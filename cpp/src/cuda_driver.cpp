#include "cuda_driver.hpp"

#include <cstdlib>
#include <map>
#include <mutex>

#include "abi/shared_object.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt::cuda {
namespace {

struct Loaded {
  Driver driver{};
  std::string problem;  // "" where the driver can be used
};

template <class F>
bool bind(void* handle, F& function, char const* name) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
  function = reinterpret_cast<F>(abi::find_symbol(handle, name));
  return function != nullptr;
}

std::string load(Driver& d) {
  // Kernels are loaded when first used, not all at once: some 300 MB less on drivers before CUDA 12.2, where this is
  // not the default. It has to be set before CUDA starts; a value that the user chose stays.
  setenv("CUDA_MODULE_LOADING", "LAZY", 0);
  std::string reason;
  void* handle = abi::try_load_shared_object("libcuda.so.1", &reason);
  if (handle == nullptr) return "no NVIDIA driver (" + reason + ")";
  bool const complete =
      bind(handle, d.init, "cuInit") && bind(handle, d.driver_version, "cuDriverGetVersion") &&
      bind(handle, d.device_count, "cuDeviceGetCount") && bind(handle, d.device_name, "cuDeviceGetName") &&
      bind(handle, d.device_attribute, "cuDeviceGetAttribute") &&
      bind(handle, d.device_memory, "cuDeviceTotalMem_v2") &&
      bind(handle, d.primary_retain, "cuDevicePrimaryCtxRetain") &&
      bind(handle, d.context_push, "cuCtxPushCurrent_v2") && bind(handle, d.context_pop, "cuCtxPopCurrent_v2") &&
      bind(handle, d.context_current, "cuCtxGetCurrent") && bind(handle, d.context_device, "cuCtxGetDevice") &&
      bind(handle, d.error_name, "cuGetErrorName") && bind(handle, d.error_string, "cuGetErrorString") &&
      bind(handle, d.memory_alloc, "cuMemAlloc_v2") && bind(handle, d.memory_free, "cuMemFree_v2") &&
      bind(handle, d.memory_info, "cuMemGetInfo_v2") &&
      bind(handle, d.host_device_pointer, "cuMemHostGetDevicePointer_v2") &&
      bind(handle, d.pointer_attribute, "cuPointerGetAttribute") && bind(handle, d.host_alloc, "cuMemHostAlloc") &&
      bind(handle, d.host_free, "cuMemFreeHost") && bind(handle, d.copy_to_device, "cuMemcpyHtoDAsync_v2") &&
      bind(handle, d.copy_to_host, "cuMemcpyDtoHAsync_v2") && bind(handle, d.stream_create, "cuStreamCreate") &&
      bind(handle, d.stream_destroy, "cuStreamDestroy_v2") &&
      bind(handle, d.stream_synchronize, "cuStreamSynchronize") && bind(handle, d.stream_query, "cuStreamQuery") &&
      bind(handle, d.capture_begin, "cuStreamBeginCapture_v2") && bind(handle, d.capture_end, "cuStreamEndCapture") &&
      bind(handle, d.graph_instantiate, "cuGraphInstantiateWithFlags") &&
      bind(handle, d.graph_launch, "cuGraphLaunch") && bind(handle, d.graph_exec_destroy, "cuGraphExecDestroy") &&
      bind(handle, d.graph_destroy, "cuGraphDestroy") && bind(handle, d.event_create, "cuEventCreate") &&
      bind(handle, d.event_destroy, "cuEventDestroy_v2") && bind(handle, d.event_record, "cuEventRecord") &&
      bind(handle, d.event_synchronize, "cuEventSynchronize") && bind(handle, d.event_elapsed, "cuEventElapsedTime") &&
      bind(handle, d.stream_wait, "cuStreamWaitEvent");
  if (!complete) return "the NVIDIA driver is older than CUDA 11.4";
  if (Result const result = d.init(0); result != 0) {
    char const* words = nullptr;
    d.error_string(result, &words);
    return std::string("the NVIDIA driver did not start: ") + (words == nullptr ? "unknown error" : words);
  }
  int count = 0;
  if (d.device_count(&count) != 0 || count == 0) return "the NVIDIA driver sees no GPU";
  return "";
}

Loaded const& loaded() {
  static Loaded const* const once = [] {
    auto* fresh = new Loaded;  // never destroyed: streams and buffers may be freed while the process ends
    fresh->problem = load(fresh->driver);
    return fresh;
  }();
  return *once;
}

}  // namespace

bool available() noexcept { return loaded().problem.empty(); }
std::string why_not() { return loaded().problem; }

Driver const& driver() {
  if (!available()) {
    throw Error(ErrorKind::kDevice, "no usable GPU: " + why_not(),
                {"", "a machine with an NVIDIA GPU and its driver",
                 "running an engine needs a GPU; building ahead of time does not: pip install 'tf2trt[rtx]'"});
  }
  return loaded().driver;
}

void check(Result result, char const* call) {
  if (result == 0) return;
  char const* name = nullptr;
  char const* words = nullptr;
  driver().error_name(result, &name);
  driver().error_string(result, &words);
  throw Error(ErrorKind::kDevice, std::string("CUDA: ") + call + " failed: " + (name == nullptr ? "?" : name) + " (" +
                                      (words == nullptr ? "unknown error" : words) + ")");
}

Handle primary_context(int ordinal) {
  static std::mutex mutex;
  static std::map<int, Handle> retained;
  std::scoped_lock const lock(mutex);
  Handle& context = retained[ordinal];
  if (context == nullptr) check(driver().primary_retain(&context, ordinal), "cuDevicePrimaryCtxRetain");
  return context;
}

bool is_integrated() {
  constexpr int kIntegrated = 18;  // CU_DEVICE_ATTRIBUTE_INTEGRATED
  int ordinal = 0;
  int integrated = 0;
  check(driver().context_device(&ordinal), "cuCtxGetDevice");
  check(driver().device_attribute(&integrated, kIntegrated, ordinal), "cuDeviceGetAttribute");
  return integrated != 0;
}

ContextGuard::ContextGuard() {
  check(driver().context_current(&context_), "cuCtxGetCurrent");
  if (context_ != nullptr) return;
  context_ = primary_context(0);
  check(driver().context_push(context_), "cuCtxPushCurrent");
  pushed_ = true;
}

ContextGuard::ContextGuard(Handle context) : context_(context) {
  Handle current = nullptr;
  check(driver().context_current(&current), "cuCtxGetCurrent");
  if (current == context) return;
  check(driver().context_push(context), "cuCtxPushCurrent");
  pushed_ = true;
}

ContextGuard::~ContextGuard() {
  Handle popped = nullptr;
  if (pushed_) loaded().driver.context_pop(&popped);
}

}  // namespace tf2trt::cuda
