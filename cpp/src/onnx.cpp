#include "tf2trt/onnx.hpp"

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

// ModelProto, GraphProto, NodeProto, StringStringEntryProto and FunctionProto.
constexpr std::uint32_t kModelIrVersion = 1;
constexpr std::uint32_t kModelGraph = 7;
constexpr std::uint32_t kGraphNode = 1;
constexpr std::uint32_t kNodeName = 3;
constexpr std::uint32_t kNodeOpType = 4;
constexpr std::uint32_t kNodeDomain = 7;
constexpr std::uint32_t kNodeMetadata = 9;
constexpr std::uint32_t kEntryKey = 1;
constexpr std::uint32_t kEntryValue = 2;
constexpr std::uint32_t kModelFunctions = 25;
constexpr std::uint32_t kFunctionDomain = 10;

struct Field {
  std::uint32_t number;
  std::string_view bytes;  // of a length-delimited field; empty for the others
  std::string_view whole;  // with its key
};

struct Broken : std::exception {};

// Walks the fields of one protobuf message. https://protobuf.dev/programming-guides/encoding/
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    std::string_view const start = rest_;
    Field field = read();
    field.whole = start.substr(0, start.size() - rest_.size());
    return field;
  }

 private:
  Field read() {
    std::uint64_t const key = varint();
    auto const number = static_cast<std::uint32_t>(key >> 3U);
    if (number == 0) throw Broken{};
    switch (key & 7U) {
      case 0:
        varint();
        return {number, {}, {}};
      case 1:
        take(8);
        return {number, {}, {}};
      case 2:
        return {number, take(varint()), {}};
      case 5:
        take(4);
        return {number, {}, {}};
      default:
        throw Broken{};
    }
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      auto const byte = static_cast<unsigned char>(take(1).front());
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    throw Broken{};
  }

  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) throw Broken{};
    std::string_view const taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
};

struct Entry {
  std::string_view key;
  std::string_view value;
};

Entry read_entry(std::string_view bytes) {
  Entry entry;
  for (Message message(bytes); auto field = message.next();) {
    if (field->number == kEntryKey) entry.key = field->bytes;
    if (field->number == kEntryValue) entry.value = field->bytes;
  }
  return entry;
}

std::string describe_origin(std::string const& layer, std::string const& op) {
  if (layer.empty()) return op.empty() ? "" : "op " + op;
  return "layer " + layer + (op.empty() ? "" : " (op " + op + ")");
}

OnnxNode read_node(std::string_view bytes) {
  OnnxNode node;
  std::string layer;
  std::string op;
  for (Message message(bytes); auto field = message.next();) {
    if (field->number == kNodeName) node.name = field->bytes;
    if (field->number == kNodeOpType) node.op_type = field->bytes;
    if (field->number == kNodeDomain) node.domain = field->bytes;
    if (field->number == kNodeMetadata) {
      auto const [key, value] = read_entry(field->bytes);
      if (key == "tf2trt.layer") layer = value;
      if (key == "tf2trt.op") op = value;
    }
  }
  node.origin = describe_origin(layer, op);
  return node;
}

bool is_function_of(Field const& field, std::string const& domain) {
  if (field.number != kModelFunctions) return false;
  for (Message function(field.bytes); auto part = function.next();) {
    if (part->number == kFunctionDomain) return part->bytes == domain;
  }
  return domain.empty();
}

[[noreturn]] void refuse_broken(std::string const& path, std::size_t size) {
  throw Error(ErrorKind::kOnnx, path + ": truncated or no ONNX model",
              {std::to_string(size) + " bytes that are no whole protobuf message", "an ONNX ModelProto",
               "export the model again, or copy the whole file"});
}

}  // namespace

std::string read_onnx(std::string const& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw Error(ErrorKind::kOnnx, path + ": no such file",
                {"", "an ONNX file", "tf2trt export MODEL -o m.onnx writes one"});
  }
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::filesystem::file_size(path), '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    throw Error(ErrorKind::kOnnx, path + ": cannot be read");
  }
  return bytes;
}

std::vector<OnnxNode> scan_onnx(std::string const& path) {
  std::string const bytes = read_onnx(path);
  std::vector<OnnxNode> nodes;
  bool has_version = false;
  bool has_graph = false;
  try {
    for (Message model(bytes); auto field = model.next();) {
      has_version = has_version || field->number == kModelIrVersion;
      if (field->number != kModelGraph) continue;
      has_graph = true;
      for (Message graph(field->bytes); auto part = graph.next();) {
        if (part->number == kGraphNode) nodes.push_back(read_node(part->bytes));
      }
    }
  } catch (Broken const&) {
    refuse_broken(path, bytes.size());
  }
  if (!has_version || !has_graph) {
    throw Error(ErrorKind::kOnnx, path + ": no ONNX model in it",
                {std::to_string(bytes.size()) + " bytes without an IR version and a graph", "an ONNX ModelProto",
                 "export the model again, or copy the whole file"});
  }
  return nodes;
}

std::string onnx_without_functions(std::string const& path, std::string const& domain) {
  std::string const bytes = read_onnx(path);
  std::string kept;
  try {
    bool has_one = false;
    for (Message model(bytes); auto field = model.next();) has_one = has_one || is_function_of(*field, domain);
    if (!has_one) return "";
    kept.reserve(bytes.size());
    for (Message model(bytes); auto field = model.next();) {
      if (!is_function_of(*field, domain)) kept += field->whole;
    }
  } catch (Broken const&) {
    refuse_broken(path, bytes.size());
  }
  return kept;
}

}  // namespace tf2trt
