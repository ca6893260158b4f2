#include "tf2trt/engine.hpp"

#include <algorithm>
#include <cstring>

#include "abi/call.hpp"
#include "cuda_driver.hpp"
#include "dtype.hpp"
#include "engine_state.hpp"
#include "mapped_file.hpp"
#include "plugins.hpp"
#include "tf2trt/device.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/plan.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt {

using abi::call;
using abi::Method;
using abi::Value;

namespace {

std::vector<TensorInfo> list_tensors(abi::Api const& api, void* engine) {
  std::vector<TensorInfo> tensors;
  int const count = call<Method::VCudaEngine_getNbIOTensors>(api, engine);
  for (int i = 0; i < count; ++i) {
    char const* name = call<Method::VCudaEngine_getIOTensorName>(api, engine, i);
    TensorInfo info;
    info.name = name;
    info.dtype = detail::to_dtype(api, call<Method::VCudaEngine_getTensorDataType>(api, engine, name));
    info.shape = abi::call_shape<Method::VCudaEngine_getTensorShape>(api, engine, name);
    info.is_input =
        call<Method::VCudaEngine_getTensorIOMode>(api, engine, name) == api.value(Value::TensorIOMode_kINPUT);
    info.is_shape = call<Method::VCudaEngine_isShapeInferenceIO>(api, engine, name);
    info.on_host =
        call<Method::VCudaEngine_getTensorLocation>(api, engine, name) == api.value(Value::TensorLocation_kHOST);
    tensors.push_back(std::move(info));
  }
  return tensors;
}

TensorInfo const& require(std::vector<TensorInfo> const& tensors, std::string const& name, bool is_input) {
  std::string known;
  for (auto const& tensor : tensors) {
    if (tensor.is_input != is_input) continue;
    if (tensor.name == name) return tensor;
    known += (known.empty() ? "" : ", ") + tensor.name;
  }
  throw Error(ErrorKind::kInput, std::string("the engine has no ") + (is_input ? "input" : "output") + " of this name",
              {name, known, ""});
}

void require_profile(int profile, int count) {
  if (profile >= 0 && profile < count) return;
  throw Error(ErrorKind::kInput, "the engine has no optimisation profile of this number",
              {std::to_string(profile), "0 to " + std::to_string(count - 1), ""});
}

// The values of a shape tensor as its memory has to hold them.
std::vector<char> bytes_of_values(DType dtype, Shape const& values) {
  std::size_t const size = bytes_of(dtype, 1);
  std::vector<char> bytes(size * values.size());
  // x86-64 and Arm are little-endian: the low bytes of a value come first.
  for (std::size_t i = 0; i < values.size(); ++i) std::memcpy(bytes.data() + i * size, &values[i], size);
  return bytes;
}

// TensorRT frees device memory in whichever context is current.
template <class S>
void delete_in_context(S* state) noexcept {
  void* const context = state->in_context();
  try {
    cuda::ContextGuard const guard(context);
    delete state;
  } catch (...) {  // NOLINT(bugprone-empty-catch): the driver is going down; nothing is left to be freed
  }
}

std::string mebibytes(std::size_t bytes) {
  if (bytes < 1U << 20U) return std::to_string(bytes) + " bytes";
  return std::to_string(bytes >> 20U) + "." + std::to_string((bytes >> 10U) % 1024 * 10 / 1024) + " MiB";
}

}  // namespace

void Engine::State::require_input(std::string const& name) const { require(tensors, name, true); }
void Engine::State::require_output(std::string const& name) const { require(tensors, name, false); }

Shape Engine::State::profile_values(TensorInfo const& input, int profile, Value select) const {
  return abi::profile_values(api(), get(), input.name.c_str(), profile, api().value(select),
                             element_count(input.shape));
}

Engine Engine::load(std::string const& path, std::vector<std::string> const& folders,
                    std::vector<std::string> const& plugin_libraries, std::optional<LibraryKind> kind) {
  MappedFile const plan(path);
  PlanHeader const header = read_plan_header(plan.data(), plan.size(), path);
  Library const library = Library::find(folders, false, &header, kind);
  for (auto const& plugins : plugin_libraries) load_plugin_library(library, plugins);
  return deserialize(library, plan.data(), plan.size());
}

Engine Engine::deserialize(Library const& library, void const* plan, std::size_t size, std::optional<int> device) {
  PlanHeader const header = read_plan_header(plan, size);
  std::optional<cuda::ContextGuard> chosen;
  if (device) chosen.emplace(cuda::primary_context(*device));
  cuda::ContextGuard const guard;
  std::shared_ptr<State> const state(new State{library, library.state().make_runtime(), {}, {}, guard.context()},
                                     delete_in_context<State>);
  abi::Api const& api = state->api();
  LogCapture const log;
  bool const has_plugins = detail::plugins_for_plan(library, plan, size);
  state->engine = abi::Owned(abi::deserialize_engine(api, state->runtime.get(), plan, size));
  if (!state->engine && !has_plugins) {
    throw Error(ErrorKind::kPlugin,
                "the plan needs tf2trt's plugins, and libtf2trt_plugins.so was not found" + log.errors(),
                {"", "libtf2trt_plugins.so beside this program, or in TF2TRT_PLUGINS_LIBRARY",
                 "install tf2trt where there is nvcc"});
  }
  if (!state->engine) {
    throw Error(library.reads(header) ? ErrorKind::kEngine : ErrorKind::kEngineVersion,
                "TensorRT " + library.version_text() + " cannot deserialise this plan" + log.errors(),
                {"", "",
                 library.kind() == LibraryKind::kLean
                     ? "the lean runtime reads what tf2trt build --version-compatible wrote on a GPU of this kind"
                     : "build the engine again with this TensorRT on this GPU"});
  }
  state->tensors = list_tensors(api, state->get());
  return Engine(state);
}

void* Engine::cuda_context() const noexcept { return state_->cuda_context; }

std::string Engine::name() const {
  char const* name = call<Method::VCudaEngine_getName>(state_->api(), state_->get());
  return name == nullptr ? "" : name;
}

std::vector<TensorInfo> const& Engine::tensors() const noexcept { return state_->tensors; }

int Engine::profile_count() const {
  return call<Method::VCudaEngine_getNbOptimizationProfiles>(state_->api(), state_->get());
}

int Engine::layer_count() const { return call<Method::VCudaEngine_getNbLayers>(state_->api(), state_->get()); }

std::size_t Engine::device_memory_size() const {
  abi::Api const& api = state_->api();
  if (api.has(Method::VCudaEngine_getDeviceMemorySizeV2)) {
    return static_cast<std::size_t>(call<Method::VCudaEngine_getDeviceMemorySizeV2>(api, state_->get()));
  }
  return call<Method::VCudaEngine_getDeviceMemorySize>(api, state_->get());
}

ShapeRange Engine::profile_shape(std::string const& name, int profile) const {
  abi::Api const& api = state_->api();
  state_->require_input(name);
  require_profile(profile, profile_count());
  auto const shape = [&](Value select) {
    return abi::call_shape<Method::VCudaEngine_getProfileShape>(api, state_->get(), name.c_str(), profile,
                                                                api.value(select));
  };
  return {shape(Value::OptProfileSelector_kMIN), shape(Value::OptProfileSelector_kOPT),
          shape(Value::OptProfileSelector_kMAX)};
}

ShapeRange Engine::profile_values(std::string const& name, int profile) const {
  TensorInfo const& input = require(state_->tensors, name, true);
  require_profile(profile, profile_count());
  if (!input.is_shape) {
    throw Error(ErrorKind::kInput, "input \"" + name + "\" is no shape tensor: a profile has its shapes, not values");
  }
  auto const values = [&](Value select) {
    Shape found = state_->profile_values(input, profile, select);
    if (!found.empty()) return found;
    throw Error(ErrorKind::kInput, "input \"" + name + "\": TensorRT does not tell the profile's values");
  };
  return {values(Value::OptProfileSelector_kMIN), values(Value::OptProfileSelector_kOPT),
          values(Value::OptProfileSelector_kMAX)};
}

std::string Engine::information() const {
  abi::Api const& api = state_->api();
  std::vector<std::vector<char>> values;  // of shape tensors, while the context lives
  ExecutionContext context = create_context();
  for (auto const& tensor : tensors()) {
    if (!tensor.is_input) continue;
    if (!tensor.is_shape) {
      context.set_input_shape(tensor.name, profile_shape(tensor.name, 0).opt);
      continue;
    }
    Shape const usual = state_->profile_values(tensor, 0, Value::OptProfileSelector_kOPT);
    if (usual.empty()) continue;  // TensorRT does not tell them: some types may not be told either
    values.push_back(bytes_of_values(tensor.dtype, usual));
    context.set_tensor_address(tensor.name, values.back().data());
  }
  abi::Owned const inspector(call<Method::VCudaEngine_createEngineInspector>(api, state_->get()));
  if (!inspector) throw Error(ErrorKind::kEngine, "IEngineInspector could not be created");
  call<Method::VEngineInspector_setExecutionContext>(api, inspector.get(),
                                                     static_cast<void const*>(context.state_->get()));
  (void)context.unresolved_inputs();  // has the shapes inferred, without which 8.6 tells no types
  char const* text = call<Method::VEngineInspector_getEngineInformation>(
      api, inspector.get(), api.value(Value::LayerInformationFormat_kJSON));
  return text == nullptr ? "" : text;
}

ExecutionContext Engine::create_context() const {
  cuda::ContextGuard const guard(state_->cuda_context);
  std::size_t const needed = device_memory_size();
  std::size_t const available = available_memory();
  if (available < needed) {
    throw Error(ErrorKind::kDevice, "an execution context does not fit into the GPU's memory",
                {mebibytes(available) + " free", mebibytes(needed) + " for the engine's activations",
                 "close other engines and programs, or build for a smaller largest shape or with a smaller workspace"});
  }
  return make_context(abi::create_context);
}

ExecutionContext Engine::create_context_without_memory() const {
  cuda::ContextGuard const guard(state_->cuda_context);
  return make_context(abi::create_context_without_memory);
}

ExecutionContext Engine::make_context(void* (*create)(abi::Api const&, void const*)) const {
  LogCapture const log;
  std::shared_ptr<ExecutionContext::State> const state(new ExecutionContext::State{state_, {}, {}, {}},
                                                       delete_in_context<ExecutionContext::State>);
  state->context = abi::Owned(create(state_->api(), state_->get()));
  if (!state->context) throw Error(ErrorKind::kDevice, "the execution context could not be created" + log.errors());
  return ExecutionContext(state);
}

void ExecutionContext::set_profile(int index, void* stream) {
  LogCapture const log;
  if (!call<Method::VExecutionContext_setOptimizationProfileAsync>(state_->api(), state_->get(), index, stream)) {
    throw Error(ErrorKind::kInput,
                "optimisation profile " + std::to_string(index) + " cannot be chosen" + log.errors());
  }
}

void ExecutionContext::set_input_shape(std::string const& name, Shape const& shape) {
  state_->engine->require_input(name);
  LogCapture const log;
  bool const fits = shape.size() <= abi::kMaxDims;
  if (!fits || !abi::set_input_shape(state_->api(), state_->get(), name.c_str(), shape)) {
    throw Error(ErrorKind::kInput, "input \"" + name + "\": the engine does not take this shape" + log.errors(),
                {to_string(shape), "a shape inside the optimisation profile", ""});
  }
}

Shape ExecutionContext::tensor_shape(std::string const& name) const {
  return abi::call_shape<Method::VExecutionContext_getTensorShape>(state_->api(), state_->get(), name.c_str());
}

void ExecutionContext::set_tensor_address(std::string const& name, void* address) {
  LogCapture const log;
  if (!call<Method::VExecutionContext_setTensorAddress>(state_->api(), state_->get(), name.c_str(), address)) {
    throw Error(ErrorKind::kInput, "tensor \"" + name + "\": its address cannot be set" + log.errors());
  }
}

void ExecutionContext::set_device_memory(void* address, std::size_t bytes) {
  abi::Api const& api = state_->api();
  if (api.has(Method::VExecutionContext_setDeviceMemoryV2)) {
    call<Method::VExecutionContext_setDeviceMemoryV2>(api, state_->get(), address, static_cast<std::int64_t>(bytes));
  } else {
    call<Method::VExecutionContext_setDeviceMemory>(api, state_->get(), address);
  }
}

std::vector<std::string> ExecutionContext::unresolved_inputs() const {
  std::vector<char const*> names(state_->engine->tensors.size());
  int const count = call<Method::VExecutionContext_inferShapes>(state_->api(), state_->get(),
                                                                static_cast<std::int32_t>(names.size()), names.data());
  return {names.begin(), names.begin() + std::max(count, 0)};
}

void ExecutionContext::enqueue(void* stream) {
  cuda::ContextGuard const guard(state_->in_context());
  LogCapture const log;
  bool const queued = call<Method::VExecutionContext_enqueueV3>(state_->api(), state_->get(), stream);
  state_->rethrow_output_errors();
  if (!queued) {
    throw Error(ErrorKind::kEngine, "the engine could not be run" + log.errors());
  }
}

Graph ExecutionContext::capture(void* stream) {
  return Graph::capture(stream, [this, stream] { enqueue(stream); });
}

}  // namespace tf2trt
