#include "tf2trt/engine.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "abi/call.hpp"
#include "cuda_driver.hpp"
#include "dtype.hpp"
#include "engine_state.hpp"
#include "plugins.hpp"
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
    tensors.push_back(std::move(info));
  }
  return tensors;
}

std::vector<char> read_file(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    throw Error(ErrorKind::kEngine, path + ": cannot be read", {"", "an existing .engine file", ""});
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

void Engine::State::require_input(std::string const& name) const {
  std::string known;
  for (auto const& tensor : tensors) {
    if (!tensor.is_input) continue;
    if (tensor.name == name) return;
    known += (known.empty() ? "" : ", ") + tensor.name;
  }
  throw Error(ErrorKind::kInput, "the engine has no input of this name", {name, known, ""});
}

Engine Engine::load(std::string const& path, std::vector<std::string> const& folders,
                    std::vector<std::string> const& plugin_libraries) {
  std::vector<char> const plan = read_file(path);
  PlanHeader const header = read_plan_header(plan.data(), plan.size(), path);
  Library const library = Library::find(folders, false, &header);
  for (auto const& plugins : plugin_libraries) load_plugin_library(library, plugins);
  return deserialize(library, plan.data(), plan.size());
}

Engine Engine::deserialize(Library const& library, void const* plan, std::size_t size) {
  PlanHeader const header = read_plan_header(plan, size);
  cuda::ContextGuard const guard;
  auto state = std::make_shared<State>(State{library, library.state().make_runtime(), {}, {}});
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
                {"", "", "build the engine again with this TensorRT on this GPU"});
  }
  state->tensors = list_tensors(api, state->get());
  return Engine(std::move(state));
}

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
  if (profile < 0 || profile >= profile_count()) {
    throw Error(ErrorKind::kInput, "the engine has no optimisation profile of this number",
                {std::to_string(profile), "0 to " + std::to_string(profile_count() - 1), ""});
  }
  auto const shape = [&](Value select) {
    return abi::call_shape<Method::VCudaEngine_getProfileShape>(api, state_->get(), name.c_str(), profile,
                                                                api.value(select));
  };
  return {shape(Value::OptProfileSelector_kMIN), shape(Value::OptProfileSelector_kOPT),
          shape(Value::OptProfileSelector_kMAX)};
}

std::string Engine::information() const {
  abi::Api const& api = state_->api();
  ExecutionContext context = create_context();
  for (auto const& tensor : tensors()) {
    if (tensor.is_input && !tensor.is_shape) context.set_input_shape(tensor.name, profile_shape(tensor.name, 0).opt);
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
  cuda::ContextGuard const guard;
  LogCapture const log;
  auto state = std::make_shared<ExecutionContext::State>();
  state->engine = state_;
  state->context = abi::Owned(abi::create_context(state_->api(), state_->get()));
  if (!state->context) {
    throw Error(ErrorKind::kDevice, "the execution context could not be created" + log.errors(),
                {"", std::to_string(device_memory_size()) + " bytes of free device memory", ""});
  }
  return ExecutionContext(std::move(state));
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

std::vector<std::string> ExecutionContext::unresolved_inputs() const {
  std::vector<char const*> names(state_->engine->tensors.size());
  int const count = call<Method::VExecutionContext_inferShapes>(state_->api(), state_->get(),
                                                                static_cast<std::int32_t>(names.size()), names.data());
  return {names.begin(), names.begin() + std::max(count, 0)};
}

void ExecutionContext::enqueue(void* stream) {
  cuda::ContextGuard const guard;
  LogCapture const log;
  if (!call<Method::VExecutionContext_enqueueV3>(state_->api(), state_->get(), stream)) {
    throw Error(ErrorKind::kEngine, "the engine could not be run" + log.errors());
  }
}

Graph ExecutionContext::capture(void* stream) {
  constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on calling CUDA
  cuda::ContextGuard const guard;
  cuda::Driver const& driver = cuda::driver();
  cuda::check(driver.capture_begin(stream, kThreadLocal), "cuStreamBeginCapture");
  void* graph = nullptr;
  try {
    enqueue(stream);
  } catch (...) {
    // A broken capture still has to be ended, or the stream stays unusable.
    driver.capture_end(stream, &graph);
    if (graph != nullptr) driver.graph_destroy(graph);
    throw;
  }
  cuda::check(driver.capture_end(stream, &graph), "cuStreamEndCapture");
  void* executable = nullptr;
  auto const result = driver.graph_instantiate(&executable, graph, 0);
  driver.graph_destroy(graph);
  cuda::check(result, "cuGraphInstantiate");
  return Graph(executable);
}

void Graph::launch(void* stream) const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().graph_launch(executable_.get(), stream), "cuGraphLaunch");
}

void Graph::Destroy::operator()(void* executable) const noexcept {
  cuda::release([executable](auto const& driver) { driver.graph_exec_destroy(executable); });
}

}  // namespace tf2trt
