// A TensorRT and its ONNX parser in one library, of the version in FAKE_NUMBER: it "parses" every file to the network
// of its script, notes what the builder's config and the layers are told, calibrates as TensorRT does
// (fake_calibration.cpp) and gives "a plan", which cannot be run; with FAKE_BUILDS it is one library with the runtime
// of fake_runtime.cpp, and the script's plan may be one for that.
#include "support/fake_builder.hpp"

#include <algorithm>
#include <string>

namespace fake_tensorrt {

tf2trt::test::FakeBuild& script() {
  static tf2trt::test::FakeBuild once;
  return once;
}

void note(std::string const& call) { script().calls.push_back(call); }

std::string name_of_value(std::string const& prefix, std::int32_t value) {
  for (auto const& each : kValues) {
    std::string const name(each.name);
    if (each.value == value && name.rfind(prefix + "_", 0) == 0) return name.substr(prefix.size() + 1);
  }
  return std::to_string(value);
}

namespace {

// --- objects ---------------------------------------------------------------------------------------------------------

// {table, implementation}; the deleting destructor is the second slot, and takes the implementation along.
struct Object {
  void* const* table;
  void* implementation;
};

template <class T>
void* give(T* implementation) {
  static Table const table = [] {
    Table t;
    t.slots[1] = reinterpret_cast<void*>(+[](Object* object) {
      delete static_cast<T*>(object->implementation);
      delete object;
    });
    return t;
  }();
  return new Object{table.slots.data(), implementation};
}

// Of what is never deleted by whoever gets it.
template <class T>
void* lend(T& implementation) {
  static Table const table;
  implementation.object = {table.slots.data(), &implementation};
  return &implementation.object;
}

struct Tensor {
  void* const* table;
  Object object;
  tf2trt::test::FakeTensor text;
};

struct Layer {
  void* const* table;
  Object object;
  tf2trt::test::FakeLayer text;
  std::vector<Tensor> outputs;
};

struct Network {
  void* const* table;
  std::vector<Tensor> inputs;
  std::vector<Layer> layers;
};

struct Profile {
  void* const* table;
  Object object;
  std::string text;  // "x 1x2 4x2 8x2", and so on
};

struct Builder {
  void* const* table;
  std::vector<std::unique_ptr<Profile>> profiles;
};

struct HostMemory {
  void* const* table;
  std::string bytes;
};

// --- networks --------------------------------------------------------------------------------------------------------

Dims dims_of(Tensor* tensor) {
  Dims dims{};
  dims.count = static_cast<std::int32_t>(tensor->text.shape.size());
  for (std::size_t i = 0; i < tensor->text.shape.size(); ++i) {
    dims.extents[i] = static_cast<decltype(dims.extents)::value_type>(tensor->text.shape[i]);
  }
  return dims;
}

Tensor make_tensor(tf2trt::test::FakeTensor const& text) {
  static Table const table = [] {
    Table t;
    t.put("VTensor_getName", [](Tensor* tensor) { return tensor->text.name.c_str(); });
    t.put("VTensor_getDimensions", &dims_of);
    t.put("VTensor_getType", [](Tensor* tensor) { return value_of("DataType_" + tensor->text.type); });
    auto const is_shape = +[](Tensor* tensor) { return tensor->text.is_shape; };
    t.put("VTensor_isShapeTensor", is_shape);
    constexpr std::size_t kRtxSlot = 11;
    if (kRtx) t.slots[kRtxSlot] = reinterpret_cast<void*>(is_shape);
    return t;
  }();
  return {table.slots.data(), {}, text};
}

Layer make_layer(tf2trt::test::FakeLayer const& text) {
  static Table const table = [] {
    Table t;
    t.put("VLayer_getName", [](Layer* layer) { return layer->text.name.c_str(); });
    t.put("VLayer_getType", [](Layer* layer) { return value_of("LayerType_" + layer->text.kind); });
    t.put("VLayer_getNbInputs", [](Layer*) -> std::int32_t { return 0; });
    t.put("VLayer_getNbOutputs", [](Layer* layer) { return static_cast<std::int32_t>(layer->outputs.size()); });
    t.put("VLayer_getOutput",
          [](Layer* layer, std::int32_t index) { return lend(layer->outputs.at(static_cast<std::size_t>(index))); });
    t.put("VLayer_setPrecision", [](Layer* layer, std::int32_t type) {
      note("setPrecision " + layer->text.name + " " + name_of_value("DataType", type));
    });
    t.put("VLayer_setOutputType", [](Layer* layer, std::int32_t index, std::int32_t type) {
      note("setOutputType " + layer->text.name + " " + std::to_string(index) + " " + name_of_value("DataType", type));
    });
    return t;
  }();
  Layer layer{table.slots.data(), {}, text, {}};
  for (auto const& output : text.outputs) layer.outputs.push_back(make_tensor(output));
  return layer;
}

void* make_network(Builder* /*builder*/, std::uint32_t /*flags*/) {
  static Table const table = [] {
    Table t;
    t.put("VNetworkDefinition_getNbInputs", [](Network* n) { return static_cast<std::int32_t>(n->inputs.size()); });
    t.put("VNetworkDefinition_getInput",
          [](Network* n, std::int32_t index) { return lend(n->inputs.at(static_cast<std::size_t>(index))); });
    t.put("VNetworkDefinition_getNbOutputs", [](Network*) -> std::int32_t { return 0; });
    t.put("VNetworkDefinition_getNbLayers", [](Network* n) { return static_cast<std::int32_t>(n->layers.size()); });
    t.put("VNetworkDefinition_getLayer",
          [](Network* n, std::int32_t index) { return lend(n->layers.at(static_cast<std::size_t>(index))); });
    return t;
  }();
  auto* network = new Network{table.slots.data(), {}, {}};
  for (auto const& input : script().inputs) network->inputs.push_back(make_tensor(input));
  for (auto const& layer : script().layers) network->layers.push_back(make_layer(layer));
  return give(network);
}

// --- profiles --------------------------------------------------------------------------------------------------------

bool set_dimensions(Profile* profile, char const* name, std::int32_t select, Dims const& dims) {
  if (select == value_of("OptProfileSelector_kMIN")) profile->text += std::string(" ") + name;
  std::string shape;
  for (std::int32_t i = 0; i < dims.count; ++i) {
    shape += (i == 0 ? " " : "x") + std::to_string(dims.extents[static_cast<std::size_t>(i)]);
  }
  profile->text += shape;
  return true;
}

void* make_profile(Builder* builder) {
  static Table const table = [] {
    Table t;
#if FAKE_NUMBER < 10000
    t.put("VOptimizationProfile_setDimensions", [](Profile* p, char const* name, std::int32_t select, Dims dims) {
      return set_dimensions(p, name, select, dims);
    });
#else
    t.put("VOptimizationProfile_setDimensions", &set_dimensions);
#endif
    return t;
  }();
  builder->profiles.push_back(std::make_unique<Profile>(Profile{table.slots.data(), {}, ""}));
  return lend(*builder->profiles.back());
}

// --- configs and builders --------------------------------------------------------------------------------------------

std::string const& text_of(void const* profile) {
  return static_cast<Profile*>(static_cast<Object const*>(profile)->implementation)->text;
}

void* make_config(Builder* /*builder*/) {
  static Table const table = [] {
    Table t;
    t.put("VBuilderConfig_setFlag",
          [](Config*, std::int32_t flag) { note("setFlag " + name_of_value("BuilderFlag", flag)); });
    t.put("VBuilderConfig_clearFlag",
          [](Config*, std::int32_t flag) { note("clearFlag " + name_of_value("BuilderFlag", flag)); });
    t.put("VBuilderConfig_setProfilingVerbosity", [](Config*, std::int32_t value) {
      note("setProfilingVerbosity " + name_of_value("ProfilingVerbosity", value));
    });
    t.put("VBuilderConfig_setMemoryPoolLimit", [](Config*, std::int32_t pool, std::size_t size) {
      note("setMemoryPoolLimit " + name_of_value("MemoryPoolType", pool) + " " + std::to_string(size));
    });
    t.put("VBuilderConfig_getTacticSources", [](Config*) -> std::uint32_t { return 0; });
    t.put("VBuilderConfig_setTacticSources", [](Config*, std::uint32_t) { return true; });
    t.put("VBuilderConfig_setPreviewFeature", [](Config*, std::int32_t, bool) {});
    t.put("VBuilderConfig_createTimingCache", [](Config*, void const*, std::size_t) -> void* { return nullptr; });
    t.put("VBuilderConfig_addOptimizationProfile", [](Config*, void const* profile) -> std::int32_t {
      note("addOptimizationProfile" + text_of(profile));
      return 0;
    });
    t.put("VBuilderConfig_setCalibrationProfile", [](Config*, void const* profile) {
      note("setCalibrationProfile" + text_of(profile));
      return script().takes_profile;
    });
    t.put("VBuilderConfig_setInt8Calibrator", [](Config* config, void* calibrator) {
      note("setInt8Calibrator");
      config->calibrator = calibrator;
    });
    t.put("VBuilderConfig_setProgressMonitor", [](Config* config, void* monitor) { config->monitor = monitor; });
    return t;
  }();
  return give(new Config{table.slots.data()});
}

// Three steps, each of which the monitor may make the last one.
bool choose_tactics(Config const& config) {
  constexpr std::int32_t kSteps = 3;
  auto const slot = [](char const* method) { return slot_of(std::string("IProgressMonitor_") + method); };
  if (config.monitor != nullptr) {
    call<void, char const*, char const*, std::int32_t>(config.monitor, slot("phaseStart"), "tactics", nullptr, kSteps);
  }
  for (std::int32_t i = 0; i < kSteps; ++i) {
    note("step");
    if (config.monitor == nullptr) continue;
    if (!call<bool, char const*, std::int32_t>(config.monitor, slot("stepComplete"), "tactics", i)) return false;
  }
  return true;
}

void* build(Builder* /*builder*/, Object* network, Object* config) {
  static Table const table = [] {
    Table t;
    t.put("VHostMemory_data", [](HostMemory* m) -> void* { return m->bytes.data(); });
    t.put("VHostMemory_size", [](HostMemory* m) { return m->bytes.size(); });
    return t;
  }();
  auto const& own = *static_cast<Config*>(config->implementation);
  auto const& inputs = static_cast<Network*>(network->implementation)->inputs;
  std::vector<std::string> names(inputs.size());
  std::transform(inputs.begin(), inputs.end(), names.begin(), [](Tensor const& input) { return input.text.name; });
  if (own.calibrator != nullptr && !calibrate(own.calibrator, names)) return nullptr;
  if (script().before_build) script().before_build();
  if (!choose_tactics(own) || !script().builds) return nullptr;
  return give(new HostMemory{table.slots.data(), script().plan});
}

void* make_builder() {
  static Table const table = [] {
    Table t;
    t.put("VBuilder_createNetworkV2", &make_network);
    t.put("VBuilder_createBuilderConfig", &make_config);
    t.put("VBuilder_createOptimizationProfile", &make_profile);
    t.put("VBuilder_buildSerializedNetwork", &build);
    return t;
  }();
  return give(new Builder{table.slots.data(), {}});
}

struct Parser {
  void* const* table;
};

void* make_parser() {
  static Table const table = [] {
    Table t;
    t.put("IParser_parseFromFile", [](Parser*, char const*, std::int32_t) { return true; });
    t.put("IParser_deletingDestructor", [](Parser* parser) { delete parser; });
    return t;
  }();
  return new Parser{table.slots.data()};
}

}  // namespace
}  // namespace fake_tensorrt

extern "C" {
tf2trt::test::FakeBuild* fake_build() { return &fake_tensorrt::script(); }
#ifndef FAKE_BUILDS
std::int32_t getInferLibVersion() { return FAKE_NUMBER; }
void* createInferRuntime_INTERNAL(void* /*logger*/, std::int32_t /*version*/) { return nullptr; }
#endif
std::int32_t getNvOnnxParserVersion() { return FAKE_NUMBER; }
void* createInferBuilder_INTERNAL(void* /*logger*/, std::int32_t version) {
  return version == FAKE_NUMBER ? fake_tensorrt::make_builder() : nullptr;
}
void* createNvOnnxParser_INTERNAL(void* network, void* /*logger*/, std::int32_t version) {
  return network != nullptr && version == FAKE_NUMBER ? fake_tensorrt::make_parser() : nullptr;
}
}
