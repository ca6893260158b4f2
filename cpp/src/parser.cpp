#include "parser.hpp"

#include <algorithm>

#include "abi/call.hpp"
#include "dtype.hpp"
#include "parser_words.hpp"
#include "plugins.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/onnx.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt::detail {

using abi::call;
using abi::Method;

namespace {

constexpr std::size_t kErrorsShown = 4;

// "node conv1/Relu (operator Relu)". TensorRT 8 only gives the node's number; the file itself has the rest.
std::string describe_node(ParserError const& error, std::vector<OnnxNode> const& nodes) {
  std::string name = error.name;
  std::string op_type = error.op_type;
  if (error.node >= 0 && static_cast<std::size_t>(error.node) < nodes.size()) {
    auto const& node = nodes[static_cast<std::size_t>(error.node)];
    if (op_type.empty()) op_type = node.op_type;
    if (name.empty()) name = node.name;
  }
  if (op_type.empty()) return error.input.empty() ? "model" : "input \"" + error.input + "\"";
  return "node \"" + (name.empty() ? "#" + std::to_string(error.node) : name) + "\" (operator " + op_type + ")";
}

std::string describe_errors(abi::Api const& api, void* parser, std::vector<OnnxNode> const& nodes) {
  std::string text;
  auto const errors = parser_errors(api, parser);
  for (std::size_t i = 0; i < errors.size() && i < kErrorsShown; ++i) {
    auto const& words = errors[i].words;
    text += "\n  " + describe_node(errors[i], nodes) + ": " + (words.empty() ? "not supported" : words);
  }
  if (errors.size() > kErrorsShown) text += "\n  ... and " + std::to_string(errors.size() - kErrorsShown) + " more";
  return text;
}

// What a plugin said to the log: the parser's own words are of its consequences.
std::string plugin_errors(LogCapture const& log) {
  std::string text;
  for (auto const& line : log.lines()) {
    if (line.text.rfind("plugin ", 0) == 0) text += "\n  " + line.text;
  }
  return text;
}

TensorInfo describe_tensor(abi::Api const& api, void* tensor, bool is_input) {
  TensorInfo info;
  info.name = call<Method::VTensor_getName>(api, tensor);
  info.dtype = to_dtype(api, call<Method::VTensor_getType>(api, tensor));
  info.shape = abi::call_shape<Method::VTensor_getDimensions>(api, tensor);
  info.is_input = is_input;
  info.is_shape = call<Method::VTensor_isShapeTensor>(api, tensor);
  return info;
}

std::string layer_kind(abi::Api const& api, std::int32_t type) {
  constexpr std::pair<abi::Value, char const*> kKinds[] = {
      {abi::Value::LayerType_kCONVOLUTION, "convolution"},
      {abi::Value::LayerType_kDECONVOLUTION, "deconvolution"},
      {abi::Value::LayerType_kFULLY_CONNECTED, "fully_connected"},
      {abi::Value::LayerType_kMATRIX_MULTIPLY, "matrix_multiply"},
      {abi::Value::LayerType_kEINSUM, "einsum"},
      {abi::Value::LayerType_kRNN_V2, "rnn"},
      {abi::Value::LayerType_kCONSTANT, "constant"},
      {abi::Value::LayerType_kSHUFFLE, "shuffle"},
      {abi::Value::LayerType_kIDENTITY, "identity"},
      {abi::Value::LayerType_kCAST, "cast"},
      {abi::Value::LayerType_kQUANTIZE, "quantize"},
      {abi::Value::LayerType_kDEQUANTIZE, "dequantize"},
  };
  for (auto const& [value, kind] : kKinds) {
    if (api.has(value) && api.value(value) == type) return kind;
  }
  return "other";
}

std::pair<std::string, DType> name_and_type(abi::Api const& api, void* tensor) {
  if (tensor == nullptr) return {};
  return {call<Method::VTensor_getName>(api, tensor), to_dtype(api, call<Method::VTensor_getType>(api, tensor))};
}

}  // namespace

abi::Owned make_network(abi::Api const& api, void* builder) {
  // From 10 on a network always has an explicit batch; the flag is kept there, without effect, until it is gone.
  std::uint32_t flags = 0;
  if (api.generation() == 8) {
    flags = 1U << static_cast<unsigned>(api.value(abi::Value::NetworkDefinitionCreationFlag_kEXPLICIT_BATCH));
  }
  void* network = call<Method::VBuilder_createNetworkV2>(api, builder, flags);
  if (network == nullptr) throw Error(ErrorKind::kBuild, "INetworkDefinition could not be created");
  return abi::Owned(network);
}

std::string without_plugin_functions(abi::Api const& api, std::string const& path, std::vector<OnnxNode> const& nodes) {
  bool const has_plugins = api.generation() > 8 && !plugin_operators(nodes).empty();
  return has_plugins ? onnx_without_functions(path, kPluginDomain) : "";
}

bool try_parse(abi::Api const& api, void* parser, std::string const& path, std::vector<OnnxNode> const& nodes) {
  std::string const bytes = without_plugin_functions(api, path, nodes);
  if (!bytes.empty()) {
    return call<Method::IParser_parse>(api, parser, static_cast<void const*>(bytes.data()), bytes.size(), path.c_str());
  }
  return call<Method::IParser_parseFromFile>(api, parser, path.c_str(), static_cast<int>(Severity::kWarning));
}

abi::Owned parse_onnx(Library::State const& library, void* network, std::string const& path,
                      std::vector<OnnxNode> const& nodes) {
  abi::Api const& api = library.api;
  abi::Owned parser = library.make_parser(network);
  LogCapture const log;
  if (!try_parse(api, parser.get(), path, nodes)) {
    std::string const errors = describe_errors(api, parser.get(), nodes) + plugin_errors(log);
    throw Error(ErrorKind::kOnnx, path + ": TensorRT cannot parse it" + (errors.empty() ? log.errors() : errors),
                {"",
                 std::string("operators that TensorRT") + (library.kind == LibraryKind::kRtx ? "-RTX " : " ") +
                     std::to_string(library.version.major) + "." + std::to_string(library.version.minor) + " supports",
                 "rewrite the node named above, or export with another opset"});
  }
  return parser;
}

std::vector<TensorInfo> network_inputs(abi::Api const& api, void* network) {
  std::vector<TensorInfo> tensors(static_cast<std::size_t>(call<Method::VNetworkDefinition_getNbInputs>(api, network)));
  std::int32_t index = 0;
  for (auto& tensor : tensors) {
    tensor = describe_tensor(api, call<Method::VNetworkDefinition_getInput>(api, network, index++), true);
  }
  return tensors;
}

std::vector<TensorInfo> network_outputs(abi::Api const& api, void* network) {
  std::vector<TensorInfo> tensors(
      static_cast<std::size_t>(call<Method::VNetworkDefinition_getNbOutputs>(api, network)));
  std::int32_t index = 0;
  for (auto& tensor : tensors) {
    tensor = describe_tensor(api, call<Method::VNetworkDefinition_getOutput>(api, network, index++), false);
  }
  return tensors;
}

bool has_data_dependent_shapes(abi::Api const& api, void* network) {
  auto const inputs = network_inputs(api, network);
  if (std::any_of(inputs.begin(), inputs.end(), is_dynamic)) return false;
  int const count = call<Method::VNetworkDefinition_getNbLayers>(api, network);
  for (int i = 0; i < count; ++i) {
    void* layer = call<Method::VNetworkDefinition_getLayer>(api, network, i);
    int const outputs = call<Method::VLayer_getNbOutputs>(api, layer);
    for (int j = 0; j < outputs; ++j) {
      void* output = call<Method::VLayer_getOutput>(api, layer, j);
      if (output != nullptr && is_dynamic(describe_tensor(api, output, false))) return true;
    }
  }
  return false;
}

std::map<std::string, int> network_layer_types(abi::Api const& api, void* network) {
  std::map<std::string, int> types;
  int const count = call<Method::VNetworkDefinition_getNbLayers>(api, network);
  for (int i = 0; i < count; ++i) {
    void* layer = call<Method::VNetworkDefinition_getLayer>(api, network, i);
    if (call<Method::VLayer_getNbOutputs>(api, layer) < 1) continue;
    void* output = call<Method::VLayer_getOutput>(api, layer, 0);
    if (output != nullptr) ++types[name_of(to_dtype(api, call<Method::VTensor_getType>(api, output)))];
  }
  return types;
}

std::vector<NetworkLayer> network_layers(abi::Api const& api, void* network) {
  int const count = call<Method::VNetworkDefinition_getNbLayers>(api, network);
  std::vector<NetworkLayer> layers(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    void* layer = call<Method::VNetworkDefinition_getLayer>(api, network, i);
    auto& [name, kind, inputs, outputs] = layers[static_cast<std::size_t>(i)];
    name = call<Method::VLayer_getName>(api, layer);
    kind = layer_kind(api, call<Method::VLayer_getType>(api, layer));
    inputs.resize(static_cast<std::size_t>(call<Method::VLayer_getNbInputs>(api, layer)));
    outputs.resize(static_cast<std::size_t>(call<Method::VLayer_getNbOutputs>(api, layer)));
    std::int32_t index = 0;
    for (auto& input : inputs) input = name_and_type(api, call<Method::VLayer_getInput>(api, layer, index++));
    index = 0;
    for (auto& output : outputs) output = name_and_type(api, call<Method::VLayer_getOutput>(api, layer, index++));
  }
  return layers;
}

}  // namespace tf2trt::detail
