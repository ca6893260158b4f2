// Writes small ONNX models, protobuf by hand: https://protobuf.dev/programming-guides/encoding/, field numbers from
// onnx.proto. Nothing more than the tests need.
#pragma once

#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tf2trt::test {

// One protobuf message as it grows.
class Proto {
 public:
  Proto& integer(unsigned field, std::uint64_t value) {
    varint(field << 3U);
    varint(value);
    return *this;
  }
  Proto& real(unsigned field, float value) {
    varint((field << 3U) | 5U);
    std::string bits(sizeof value, '\0');
    std::memcpy(bits.data(), &value, sizeof value);
    bytes_ += bits;
    return *this;
  }
  Proto& text(unsigned field, std::string const& value) {
    varint((field << 3U) | 2U);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Proto& message(unsigned field, Proto const& value) { return text(field, value.bytes_); }
  [[nodiscard]] std::string const& bytes() const noexcept { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

inline constexpr int kOnnxFloat = 1;

// "n" is an extent of any size; digits are a fixed one.
inline Proto onnx_value(std::string const& name, std::vector<std::string> const& shape,
                        std::uint64_t type = kOnnxFloat) {
  Proto extents;
  for (auto const& extent : shape) {
    Proto dim;
    if (extent.find_first_not_of("0123456789") == std::string::npos) {
      dim.integer(1, std::stoull(extent));
    } else {
      dim.text(2, extent);
    }
    extents.message(1, dim);
  }
  Proto const tensor = Proto().integer(1, type).message(2, extents);
  return Proto().text(1, name).message(2, Proto().message(1, tensor));
}

inline Proto onnx_weights(std::string const& name, std::vector<std::uint64_t> const& shape,
                          std::vector<float> const& values) {
  Proto tensor;
  for (auto const extent : shape) tensor.integer(1, extent);
  std::string raw(values.size() * sizeof(float), '\0');
  std::memcpy(raw.data(), values.data(), raw.size());
  return tensor.integer(2, kOnnxFloat).text(8, name).text(9, raw);
}

struct NodeText {
  std::string op_type;
  std::string name;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::string domain;
  std::vector<std::pair<std::string, float>> attributes;
  // So that it may be left out. NOLINTNEXTLINE(readability-redundant-member-init)
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

inline Proto onnx_node(NodeText const& text) {
  constexpr int kAttributeFloat = 1;
  Proto node;
  for (auto const& input : text.inputs) node.text(1, input);
  for (auto const& output : text.outputs) node.text(2, output);
  if (!text.name.empty()) node.text(3, text.name);
  node.text(4, text.op_type);
  for (auto const& [name, value] : text.attributes) {
    node.message(5, Proto().text(1, name).real(2, value).integer(20, kAttributeFloat));
  }
  if (!text.domain.empty()) node.text(7, text.domain);
  for (auto const& [key, value] : text.metadata) node.message(9, Proto().text(1, key).text(2, value));
  return node;
}

struct GraphText {
  std::vector<NodeText> nodes;
  std::vector<Proto> inputs;
  std::vector<Proto> outputs;
  std::vector<Proto> weights;
};

// An operator's meaning in other operators.
struct FunctionText {
  std::string name;
  std::string domain;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<NodeText> nodes;
};

inline Proto onnx_opset(std::string const& domain, std::uint64_t version) {
  return Proto().text(1, domain).integer(2, version);
}

inline Proto onnx_function(FunctionText const& text) {
  Proto function = Proto().text(1, text.name);
  for (auto const& input : text.inputs) function.text(4, input);
  for (auto const& output : text.outputs) function.text(5, output);
  for (auto const& node : text.nodes) function.message(7, onnx_node(node));
  function.message(9, onnx_opset("", 15));
  if (!text.domain.empty()) function.text(10, text.domain);
  return function;
}

// A whole file: ir_version 8, opset 15, the graph, and the functions last.
inline std::string onnx_model(GraphText const& text, std::vector<FunctionText> const& functions = {}) {
  Proto graph;
  for (auto const& node : text.nodes) graph.message(1, onnx_node(node));
  graph.text(2, "graph");
  for (auto const& weights : text.weights) graph.message(5, weights);
  for (auto const& input : text.inputs) graph.message(11, input);
  for (auto const& output : text.outputs) graph.message(12, output);
  Proto model = Proto().integer(1, 8).message(8, onnx_opset("", 15));
  std::set<std::string> domains;
  for (auto const& node : text.nodes) domains.insert(node.domain);
  for (auto const& domain : domains) {
    if (!domain.empty() && !functions.empty()) model.message(8, onnx_opset(domain, 1));
  }
  model.message(7, graph);
  for (auto const& function : functions) model.message(25, onnx_function(function));
  return model.bytes();
}

// x (batch x 4) -> MatMul -> LeakyRelu -> y (batch x 3). `op_type` stands where LeakyRelu is.
inline GraphText small_graph(std::string const& batch = "n", std::string const& op_type = "LeakyRelu",
                             std::string const& domain = "") {
  std::vector<float> const w = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};
  return {{{"MatMul", "dense/MatMul", {"x", "w"}, {"product"}, "", {}},
           {op_type, "dense/act", {"product"}, {"y"}, domain, {{"alpha", 0.1F}}}},
          {onnx_value("x", {batch, "4"})},
          {onnx_value("y", {batch, "3"})},
          {onnx_weights("w", {4, 3}, w)}};
}

}  // namespace tf2trt::test
