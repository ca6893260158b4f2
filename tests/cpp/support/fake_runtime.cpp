// A TensorRT library that reads fake plans and runs them on the fake CUDA driver. FAKE_NUMBER: what it says its version
// is, and so which generation's tables it has; FAKE_BUILDER: it has a builder (which refuses, or with FAKE_BUILDS is
// fake_builder.cpp's), so it is not the lean runtime. A plan is the real header and the text that names an engine
// (fake_models.hpp).
#include "support/fake_runtime.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "support/fake_tables.hpp"

namespace fake_tensorrt {
namespace {

std::atomic<int> g_live{0};
std::atomic<int> g_deleted{0};

// --- objects ---------------------------------------------------------------------------------------------------------

void end(Runtime& runtime) {
  if (runtime.engines > 0) cuda().violation("a runtime deleted before its engines");
}

void end(Engine& engine) {
  if (!engine.contexts.empty()) cuda().violation("an engine deleted before its contexts");
  --engine.runtime->engines;
}

void end(Context& context) {
  auto& all = context.engine->contexts;
  all.erase(std::remove(all.begin(), all.end(), &context), all.end());
  Current const current(context.engine->cuda_context);
  if (context.owns_scratch && context.scratch != 0) cuda().free(context.scratch);
}

void end(Inspector& /*inspector*/) {}

// The table of an object that holds a T: the deleting destructor is its second slot.
template <class T>
void* give(T* implementation) {
  static Table const table = [] {
    Table t;
    t.slots[1] = reinterpret_cast<void*>(+[](Object* object) {
      auto* held = static_cast<T*>(object->implementation);
      end(*held);
      delete held;
      delete object;
      --g_live;
      ++g_deleted;
    });
    return t;
  }();
  ++g_live;
  return new Object{table.slots.data(), implementation};
}

template <class T>
T* held(void const* object) {
  return static_cast<T*>(static_cast<Object const*>(object)->implementation);
}

// --- IEngineInspector ------------------------------------------------------------------------------------------------

// What the file that TF2TRT_FAKE_INFORMATION names holds; nothing of any layer where it is not set.
char const* information() {
  static std::string const text = [] {
    char const* const path = std::getenv("TF2TRT_FAKE_INFORMATION");
    if (path == nullptr) return std::string("{}");
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return text.c_str();
}

void* make_inspector() {
  static Table const table = [] {
    Table t;
    t.put("VEngineInspector_setExecutionContext", [](Inspector*, void const*) { return true; });
    t.put("VEngineInspector_getEngineInformation", [](Inspector*, std::int32_t) { return information(); });
    t.put("VEngineInspector_getLayerInformation", [](Inspector*, std::int32_t, std::int32_t) { return "{}"; });
    return t;
  }();
  return give(new Inspector{table.slots.data()});
}

// --- IExecutionContext -----------------------------------------------------------------------------------------------

Dims no_such_tensor() {
  Dims dims{};
  dims.count = -1;
  return dims;
}

std::int64_t max_output_size(Context* c, char const* name) {
  Tensor const* tensor = c->engine->model.find(name);
  if (tensor == nullptr) return -1;
  std::int64_t bytes = 4;
  for (auto extent : c->shape(*tensor)) bytes *= extent < 0 ? 4 : extent;  // nonzero has 4 elements
  return bytes;
}

Table context_table() {
  Table t;
  t.put("VExecutionContext_setInputShape", [](Context* c, char const* name, Dims const* dims) {
    return c->set_shape(name, {dims->extents.begin(), dims->extents.begin() + dims->count});
  });
  t.put("VExecutionContext_getTensorShape", [](Context* c, char const* name) {
    Tensor const* tensor = c->engine->model.find(name);
    return tensor == nullptr ? no_such_tensor() : to_dims(c->shape(*tensor));
  });
  t.put("VExecutionContext_setTensorAddress",
        [](Context* c, char const* name, void* address) { return c->set_address(name, address); });
  t.put("VExecutionContext_setInputTensorAddress", [](Context* c, char const* name, void const* address) {
    return c->set_address(name, const_cast<void*>(address));
  });
  t.put("VExecutionContext_getTensorAddress", [](Context* c, char const* name) -> void const* {
    auto const found = c->addresses.find(name);
    return found == c->addresses.end() ? nullptr : found->second;
  });
  t.put("VExecutionContext_enqueueV3", [](Context* c, void* stream) { return c->enqueue(stream); });
  t.put("VExecutionContext_setOptimizationProfileAsync",
        [](Context* c, std::int32_t index, void* stream) { return c->set_profile(index, stream); });
  t.put("VExecutionContext_getOptimizationProfile", [](Context* c) -> std::int32_t { return c->profile; });
  t.put("VExecutionContext_setProfiler", [](Context* c, void* profiler) { c->profiler = profiler; });
  t.put("VExecutionContext_setEnqueueEmitsProfile", [](Context* c, bool emits) { c->emits = emits; });
  t.put("VExecutionContext_reportToProfiler", [](Context* c) {
    c->report();
    return true;
  });
  t.put("VExecutionContext_inferShapes", [](Context* c, std::int32_t room, char const** names) {
    auto const missing = c->missing();
    auto const told = std::min<std::size_t>(missing.size(), static_cast<std::size_t>(std::max(room, 0)));
    if (names != nullptr) std::copy_n(missing.begin(), told, names);
    return static_cast<std::int32_t>(missing.size());
  });
  t.put("VExecutionContext_setDeviceMemory",
        [](Context* c, void* memory) { c->set_memory(memory, c->engine->model.device_memory); });
  t.put("VExecutionContext_setDeviceMemoryV2",
        [](Context* c, void* memory, std::int64_t size) { c->set_memory(memory, static_cast<std::size_t>(size)); });
  t.put("VExecutionContext_allInputDimensionsSpecified", [](Context* c) { return c->missing().empty(); });
  t.put("VExecutionContext_setOutputAllocator", [](Context* c, char const* name, void* allocator) {
    Tensor const* tensor = c->engine->model.find(name);
    if (tensor == nullptr || tensor->is_input) return c->error("setOutputAllocator: no output of this name");
    c->allocators[name] = allocator;
    if (allocator == nullptr) c->allocators.erase(name);
    return true;
  });
  t.put("VExecutionContext_getMaxOutputSize", &max_output_size);
  return t;
}

void* make_context(Engine* engine, bool with_memory) {
  static Table const table = context_table();
  if (!engine->is_current("createExecutionContext")) return nullptr;
  Current const current(engine->cuda_context);
  auto* context = new Context{};
  context->table = table.slots.data();
  context->engine = engine;
  context->owns_scratch = with_memory;
  context->scratch_size = with_memory ? engine->model.device_memory : 0;
  if (with_memory && cuda().alloc(&context->scratch, engine->model.device_memory) != 0) {
    engine->runtime->error("Error Code 2: OutOfMemory (no further information): " +
                           std::to_string(engine->model.device_memory) + " bytes for a context");
    delete context;
    return nullptr;
  }
  if (!engine->profile_in_use(0)) context->profile = 0;
  engine->contexts.push_back(context);
  return give(context);
}

// --- ICudaEngine -----------------------------------------------------------------------------------------------------

Tensor const& tensor(Engine const* e, char const* name) {
  static Tensor const none{"", Type::kFloat, {}, false};
  Tensor const* found = e->model.find(name);
  if (found == nullptr) e->runtime->error(std::string("the engine has no tensor ") + name);
  return found == nullptr ? none : *found;
}

Dims profile_shape(Engine* e, char const* name, std::int32_t profile, std::int32_t select) {
  Tensor const& t = tensor(e, name);
  if (!t.is_input || profile < 0 || profile >= static_cast<int>(e->model.profiles.size())) return no_such_tensor();
  auto const& ranges = e->model.profiles[static_cast<std::size_t>(profile)].shapes;
  auto const found = ranges.find(name);
  return to_dims(found == ranges.end() ? t.shape : found->second[static_cast<std::size_t>(select)]);
}

std::int32_t const* profile_values(Engine* e, char const* name, std::int32_t profile, std::int32_t select) {
  auto const& values = e->model.profiles[static_cast<std::size_t>(profile)].values;
  auto const found = values.find(name);
  return found == values.end() ? nullptr : found->second[static_cast<std::size_t>(select)].data();
}

Table engine_table() {
  Table t;
  t.put("VCudaEngine_getNbIOTensors", [](Engine* e) { return static_cast<std::int32_t>(e->model.tensors.size()); });
  t.put("VCudaEngine_getIOTensorName", [](Engine* e, std::int32_t i) -> char const* {
    return e->model.tensors.at(static_cast<std::size_t>(i)).name.c_str();
  });
  t.put("VCudaEngine_getTensorIOMode", [](Engine* e, char const* name) {
    return tensor(e, name).is_input ? value_of("TensorIOMode_kINPUT") : value_of("TensorIOMode_kOUTPUT");
  });
  t.put("VCudaEngine_getTensorShape", [](Engine* e, char const* name) { return to_dims(tensor(e, name).shape); });
  t.put("VCudaEngine_getTensorDataType", [](Engine* e, char const* name) {
    return tensor(e, name).type == Type::kFloat ? value_of("DataType_kFLOAT") : value_of("DataType_kINT32");
  });
  t.put("VCudaEngine_getTensorLocation", [](Engine* e, char const* name) {
    return tensor(e, name).is_values ? value_of("TensorLocation_kHOST") : value_of("TensorLocation_kDEVICE");
  });
  t.put("VCudaEngine_getTensorFormat", [](Engine*, char const*) -> std::int32_t { return 0; });
  t.put("VCudaEngine_isShapeInferenceIO", [](Engine* e, char const* name) { return tensor(e, name).is_values; });
  t.put("VCudaEngine_getProfileShape", &profile_shape);
  t.put("VCudaEngine_getProfileTensorValues", &profile_values);
  t.put("VCudaEngine_getProfileTensorValuesV2",  // those of a plan of before: TensorRT tells them by the other alone
        [](Engine* e, char const* name, std::int32_t profile, std::int32_t select) -> std::int64_t const* {
          thread_local std::array<std::int64_t, 2> wide;
          auto const* narrow = profile_values(e, name, profile, select);
          if (kGeneration < 11 || narrow == nullptr) return nullptr;
          std::copy_n(narrow, wide.size(), wide.begin());
          return wide.data();
        });
  t.put("VCudaEngine_getBindingIndex", [](Engine* e, char const* name) -> std::int32_t {
    Tensor const* found = e->model.find(name);
    return found == nullptr ? -1 : static_cast<std::int32_t>(found - e->model.tensors.data());
  });
  t.put("VCudaEngine_getProfileShapeValues",
        [](Engine* e, std::int32_t profile, std::int32_t index, std::int32_t select) {
          return profile_values(e, e->model.tensors.at(static_cast<std::size_t>(index)).name.c_str(), profile, select);
        });
  t.put("VCudaEngine_getNbOptimizationProfiles",
        [](Engine* e) { return static_cast<std::int32_t>(e->model.profiles.size()); });
  t.put("VCudaEngine_getDeviceMemorySize", [](Engine* e) { return e->model.device_memory; });
  t.put("VCudaEngine_getDeviceMemorySizeV2",
        [](Engine* e) { return static_cast<std::int64_t>(e->model.device_memory); });
  t.put("VCudaEngine_createExecutionContext", [](Engine* e, std::int32_t strategy) {  // 8 passes none
    return make_context(e, kGeneration == 8 || strategy == value_of("ExecutionContextAllocationStrategy_kSTATIC"));
  });
  t.put("VCudaEngine_createExecutionContextWithoutDeviceMemory", [](Engine* e) { return make_context(e, false); });
  t.put("VCudaEngine_createEngineInspector", [](Engine*) { return make_inspector(); });
  t.put("VCudaEngine_getName", [](Engine* e) { return e->model.name.c_str(); });
  t.put("VCudaEngine_getNbLayers", [](Engine*) -> std::int32_t { return 2; });
  return t;
}

// --- IRuntime --------------------------------------------------------------------------------------------------------

void* deserialize(Runtime* runtime, void const* plan, std::size_t size) {
  static Table const table = engine_table();
  constexpr std::size_t kHeader = 28;
  constexpr std::size_t kVersion = 24;
  constexpr int kBase = kGeneration == 8 ? 10 : 100;
  constexpr std::array<int, 3> kOwn{kGeneration, FAKE_NUMBER / 100 % kBase, FAKE_NUMBER % 100};
  auto const* bytes = static_cast<char const*>(plan);
  if (size < kHeader || std::memcmp(bytes, "ftrt", 4) != 0) {
    runtime->error("Error Code 1: Serialization (Magic tag does not match)");
    return nullptr;
  }
  for (std::size_t i = 0; i < kOwn.size(); ++i) {
#ifndef FAKE_BUILDER
    if (i > 0) break;  // the lean runtime reads all of its major version
#endif
    if (bytes[kVersion + i] == kOwn[i]) continue;
    runtime->error("Error Code 1: Serialization (Version tag does not match)");
    return nullptr;
  }
  auto model = find_model(std::string(bytes + kHeader, size - kHeader));
  if (!model) {
    runtime->error("Error Code 4: Internal Error (Engine deserialization failed.)");
    return nullptr;
  }
  auto* engine = new Engine{table.slots.data(), runtime, std::move(*model), nullptr, {}};
  cuda().current(&engine->cuda_context);
  if (engine->cuda_context == nullptr) cuda().violation("deserializeCudaEngine without a CUDA context");
  ++runtime->engines;
  return give(engine);
}

void* make_runtime(void* logger) {
  static Table const table = [] {
    Table t;
    t.put("VRuntime_deserializeCudaEngine", &deserialize);
    t.put("VRuntime_setEngineHostCodeAllowed", [](Runtime*, bool) {});
    t.put("VRuntime_setMaxThreads", [](Runtime*, std::int32_t) { return true; });
    return t;
  }();
  return give(new Runtime{table.slots.data(), logger});
}

void log_error(void* logger, std::string const& text) {
  constexpr int kError = 1;
  constexpr int kLogSlot = kGeneration >= 11 ? 4 : 0;
  void* const* table = *static_cast<void* const**>(logger);
  reinterpret_cast<void (*)(void*, std::int32_t, char const*)>(table[kLogSlot])(logger, kError, text.c_str());
}

}  // namespace

bool Runtime::error(std::string const& text) const {
  log_error(logger, text);
  return false;
}

Cuda const& cuda() {
  static Cuda const once = [] {
    void* handle = dlopen("libcuda.so.1", RTLD_LAZY);
    auto const bind = [handle](auto& function, char const* name) {
      void* const found = handle == nullptr ? nullptr : dlsym(handle, name);
      if (found == nullptr) {
        std::fprintf(stderr, "fake TensorRT: libcuda.so.1 is not the fake one: it has no %s\n", name);
        std::abort();
      }
      function = reinterpret_cast<std::decay_t<decltype(function)>>(found);
    };
    Cuda c{};
    bind(c.current, "cuCtxGetCurrent");
    bind(c.push, "cuCtxPushCurrent_v2");
    bind(c.pop, "cuCtxPopCurrent_v2");
    bind(c.alloc, "cuMemAlloc_v2");
    bind(c.free, "cuMemFree_v2");
    bind(c.synchronize, "cuStreamSynchronize");
    bind(c.is_capturing, "cuStreamIsCapturing");
    bind(c.attribute, "cuPointerGetAttribute");
    bind(c.enqueue, "fake_cuda_enqueue");
    bind(c.storage, "fake_cuda_storage");
    bind(c.is_primary, "fake_cuda_is_primary");
    bind(c.violation, "fake_cuda_violation");
    return c;
  }();
  return once;
}

}  // namespace fake_tensorrt

extern "C" {

std::int32_t getInferLibVersion() { return FAKE_NUMBER; }

void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) {
  if (version == FAKE_NUMBER) return fake_tensorrt::make_runtime(logger);
  fake_tensorrt::log_error(logger, "fake runtime refuses version " + std::to_string(version));
  return nullptr;
}

#if defined(FAKE_BUILDER) && !defined(FAKE_BUILDS)
void* createInferBuilder_INTERNAL(void* logger, std::int32_t /*version*/) {
  fake_tensorrt::log_error(logger, "the fake runtime does not build");
  return nullptr;
}
#endif

// The objects that live, and those that were deleted through their tables.
int fake_tensorrt_live() { return fake_tensorrt::g_live; }
int fake_tensorrt_deleted() { return fake_tensorrt::g_deleted; }

}  // extern "C"
