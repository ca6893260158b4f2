// TensorRT's ONNX parser, and what a parsed network says.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "abi/object.hpp"
#include "library_state.hpp"
#include "tf2trt/onnx.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt::detail {

// Parses `path`, whose nodes are given, into `network`. The parser is returned because it owns the weights that the
// network points to. Throws Error(kOnnx), naming the node and the operator.
abi::Owned parse_onnx(Library::State const& library, void* network, std::string const& path,
                      std::vector<OnnxNode> const& nodes);

std::vector<TensorInfo> network_inputs(abi::Api const& api, void* network);
std::vector<TensorInfo> network_outputs(abi::Api const& api, void* network);
// How many layers give each type.
std::map<std::string, int> network_layer_types(abi::Api const& api, void* network);

}  // namespace tf2trt::detail
