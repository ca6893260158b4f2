#include "tf2trt/builder.hpp"

#include <chrono>

#include "abi/call.hpp"
#include "abi/object.hpp"
#include "abi/shared_object.hpp"
#include "builder_precision.hpp"
#include "builder_profiles.hpp"
#include "calibrator.hpp"
#include "layer_precision.hpp"
#include "library_state.hpp"
#include "parser.hpp"
#include "plugins.hpp"
#include "progress.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/onnx.hpp"

namespace tf2trt {

using abi::call;
using abi::Method;
using abi::Value;

struct BuildResult::Memory {
  abi::Owned plan;
  void const* data;
  std::size_t size;
};

void const* BuildResult::data() const noexcept { return memory_->data; }
std::size_t BuildResult::size() const noexcept { return memory_->size; }

namespace {

abi::Owned create(void* object, char const* what) {
  if (object == nullptr) throw Error(ErrorKind::kBuild, std::string(what) + " could not be created");
  return abi::Owned(object);
}

// TensorRT 8 counts on cuBLAS and cuDNN, whose wheels are larger than itself; it builds with its own kernels where they
// cannot be loaded, but only when told not to use them.
void set_tactic_sources(abi::Api const& api, void* config) {
  struct Source {
    Value name;
    std::vector<char const*> libraries;
    char const* symbol;
  };
  Source const sources[] = {
      {Value::TacticSource_kCUBLAS, {"libcublas.so.12", "libcublas.so.11"}, "cublasCreate_v2"},
      {Value::TacticSource_kCUBLAS_LT, {"libcublasLt.so.12", "libcublasLt.so.11"}, "cublasLtCreate"},
      {Value::TacticSource_kCUDNN, {"libcudnn.so.8"}, "cudnnCreate"},
  };
  if (api.generation() != 8) return;
  auto mask = call<Method::VBuilderConfig_getTacticSources>(api, config);
  for (auto const& source : sources) {
    bool usable = false;
    for (char const* name : source.libraries) {
      void* handle = abi::try_load_shared_object(name);
      usable = usable || (handle != nullptr && abi::find_symbol(handle, source.symbol) != nullptr);
    }
    if (!usable) mask &= ~(1U << static_cast<unsigned>(api.value(source.name)));
  }
  call<Method::VBuilderConfig_setTacticSources>(api, config, mask);
}

void configure(Library::State const& library, void* config, BuilderOptions const& options, bool scales) {
  abi::Api const& api = library.api;
  detail::set_precision_flags(api, config, options, scales);
  set_tactic_sources(api, config);
  if (options.workspace > 0) {
    call<Method::VBuilderConfig_setMemoryPoolLimit>(api, config, api.value(Value::MemoryPoolType_kWORKSPACE),
                                                    options.workspace);
  }
  if (options.version_compatible) {
    // The lean runtime is installed, not packed into each plan (and TensorRT 8.6's wheel has none to pack).
    call<Method::VBuilderConfig_setFlag>(api, config, api.value(Value::BuilderFlag_kVERSION_COMPATIBLE));
    call<Method::VBuilderConfig_setFlag>(api, config, api.value(Value::BuilderFlag_kEXCLUDE_LEAN_RUNTIME));
  }
  // So that several contexts may use one profile, as they always may from 10 on. 8.5 has the function, not the feature.
  if (api.generation() == 8 && library.version.minor >= 6) {
    call<Method::VBuilderConfig_setPreviewFeature>(api, config, api.value(Value::PreviewFeature_kPROFILE_SHARING_0806),
                                                   true);
  }
  // So that the engine's inspector can tell what type each layer was built in.
  call<Method::VBuilderConfig_setProfilingVerbosity>(api, config, api.value(Value::ProfilingVerbosity_kDETAILED));
  if (options.optimization_level) {
    if (*options.optimization_level < 0 || *options.optimization_level > 5) {
      throw Error(ErrorKind::kUsage, "optimisation level",
                  {std::to_string(*options.optimization_level), "a number from 0 to 5", ""});
    }
    call<Method::VBuilderConfig_setBuilderOptimizationLevel>(api, config, *options.optimization_level);
  }
}

abi::Owned attach_timing_cache(abi::Api const& api, void* config, std::vector<char> const& bytes) {
  void const* data = bytes.empty() ? nullptr : bytes.data();
  abi::Owned cache(call<Method::VBuilderConfig_createTimingCache>(api, config, data, bytes.size()));
  // False: a cache of another GPU or version is left unused, which is what its owner wants too.
  bool const ignore_mismatch = false;
  if (cache && !call<Method::VBuilderConfig_setTimingCache>(api, config, static_cast<void const*>(cache.get()),
                                                            ignore_mismatch)) {
    cache.reset();
  }
  return cache;
}

std::vector<char> bytes_of_memory(abi::Api const& api, void* memory) {
  auto const* data = static_cast<char const*>(call<Method::VHostMemory_data>(api, memory));
  return {data, data + call<Method::VHostMemory_size>(api, memory)};
}

std::vector<char> serialize_timing_cache(abi::Api const& api, void* config) {
  void const* cache = call<Method::VBuilderConfig_getTimingCache>(api, config);
  if (cache == nullptr) return {};
  abi::Owned const memory(call<Method::VTimingCache_serialize>(api, cache));
  return memory ? bytes_of_memory(api, memory.get()) : std::vector<char>{};
}

}  // namespace

BuildResult build(Library const& library, std::string const& onnx_path, BuilderOptions const& options,
                  Progress const& progress) {
  auto const start = std::chrono::steady_clock::now();
  Library::State const& state = library.state();
  abi::Api const& api = state.api;
  detail::check_precision(library, options);
  LogCapture const log;
  // Deleted in the opposite order: TensorRT wants the builder to go last.
  abi::Owned const builder = state.make_builder();
  abi::Owned const network = detail::make_network(api, builder.get());
  auto const nodes = scan_onnx(onnx_path);
  auto const plugins = detail::plugins_for_network(library, onnx_path, nodes, options.plugin_libraries);
  abi::Owned const parser = detail::parse_onnx(state, network.get(), onnx_path, nodes);
  auto const inputs = detail::network_inputs(api, network.get());
  detail::check_profiles(api, inputs, options.profiles);
  bool const scales = detail::check_scales(api, network.get(), options);
  auto layer_precisions = detail::set_layer_precisions(api, network.get(), options.layer_precision);
  // Before the config, which points to both.
  detail::ProgressReport report(progress);
  std::optional<detail::Calibrator> calibrator;
  if (options.calibration) calibrator.emplace(api, *options.calibration, inputs, report);

  abi::Owned const config = create(call<Method::VBuilder_createBuilderConfig>(api, builder.get()), "IBuilderConfig");
  configure(state, config.get(), options, scales);
  detail::add_profiles(api, builder.get(), config.get(), inputs,
                       detail::needed_profiles(api, network.get(), inputs, options.profiles));
  abi::Owned const cache = attach_timing_cache(api, config.get(), options.timing_cache);
  report.attach(api, config.get(), calibrator.has_value());
  if (calibrator) calibrator->attach(builder.get(), config.get(), options.profiles);

  auto memory = std::make_shared<BuildResult::Memory>();
  memory->plan =
      abi::Owned(call<Method::VBuilder_buildSerializedNetwork>(api, builder.get(), network.get(), config.get()));
  if (calibrator) calibrator->rethrow();
  report.rethrow();
  if (!memory->plan || report.stopped()) {
    throw Error(ErrorKind::kBuild, report.stopped() ? "the build was stopped"
                                                    : onnx_path + ": TensorRT could not build it" + log.errors());
  }
  memory->data = call<Method::VHostMemory_data>(api, memory->plan.get());
  memory->size = call<Method::VHostMemory_size>(api, memory->plan.get());

  BuildResult result(memory);
  result.inputs = inputs;
  result.outputs = detail::network_outputs(api, network.get());
  result.layer_types = detail::network_layer_types(api, network.get());
  result.network_layers = detail::network_layers(api, network.get());
  result.plugin_libraries = plugins;
  if (cache) result.timing_cache = serialize_timing_cache(api, config.get());
  if (calibrator) result.calibration_cache = calibrator->take_cache();
  result.layer_precisions = std::move(layer_precisions);
  result.log = log.lines();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace tf2trt
