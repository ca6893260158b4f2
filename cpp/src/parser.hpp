// TensorRT's ONNX parser, and what a parsed network says.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "abi/object.hpp"
#include "library_state.hpp"
#include "tf2trt/builder.hpp"
#include "tf2trt/onnx.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt::detail {

// An empty INetworkDefinition, of an explicit batch. Throws Error(kBuild).
abi::Owned make_network(abi::Api const& api, void* builder);

// The model as the parser is to see it. From 10 on the parser takes an operator's function, where the file has one,
// before it looks for a plugin: the functions of those operators that are plugins are left out. "" where nothing is to
// be left out, so that the file itself will do.
std::string without_plugin_functions(abi::Api const& api, std::string const& path, std::vector<OnnxNode> const& nodes);

// Parses `path`, whose nodes are given, into `network`; false where TensorRT cannot, and the parser has the errors.
bool try_parse(abi::Api const& api, void* parser, std::string const& path, std::vector<OnnxNode> const& nodes);

// The same, or throws Error(kOnnx), naming the node and the operator. The parser is returned because it owns the
// weights that the network points to.
abi::Owned parse_onnx(Library::State const& library, void* network, std::string const& path,
                      std::vector<OnnxNode> const& nodes);

std::vector<TensorInfo> network_inputs(abi::Api const& api, void* network);
std::vector<TensorInfo> network_outputs(abi::Api const& api, void* network);
// Whether some tensor's extents are not known although those of all inputs are: they depend on the data.
bool has_data_dependent_shapes(abi::Api const& api, void* network);
// How many layers give each type.
std::map<std::string, int> network_layer_types(abi::Api const& api, void* network);
std::vector<NetworkLayer> network_layers(abi::Api const& api, void* network);

}  // namespace tf2trt::detail
