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

// ModelProto, GraphProto and NodeProto.
constexpr std::uint32_t kModelIrVersion = 1;
constexpr std::uint32_t kModelGraph = 7;
constexpr std::uint32_t kGraphNode = 1;
constexpr std::uint32_t kNodeName = 3;
constexpr std::uint32_t kNodeOpType = 4;
constexpr std::uint32_t kNodeDomain = 7;

struct Field {
  std::uint32_t number;
  std::string_view bytes;  // of a length-delimited field; empty for the others
};

struct Broken : std::exception {};

// Walks the fields of one protobuf message. https://protobuf.dev/programming-guides/encoding/
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    std::uint64_t const key = varint();
    auto const number = static_cast<std::uint32_t>(key >> 3U);
    if (number == 0) throw Broken{};
    switch (key & 7U) {
      case 0:
        varint();
        return Field{number, {}};
      case 1:
        take(8);
        return Field{number, {}};
      case 2:
        return Field{number, take(varint())};
      case 5:
        take(4);
        return Field{number, {}};
      default:
        throw Broken{};
    }
  }

 private:
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

OnnxNode read_node(std::string_view bytes) {
  OnnxNode node;
  for (Message message(bytes); auto field = message.next();) {
    if (field->number == kNodeName) node.name = field->bytes;
    if (field->number == kNodeOpType) node.op_type = field->bytes;
    if (field->number == kNodeDomain) node.domain = field->bytes;
  }
  return node;
}

std::string read_file(std::string const& path) {
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

}  // namespace

std::vector<OnnxNode> scan_onnx(std::string const& path) {
  std::string const bytes = read_file(path);
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
    throw Error(ErrorKind::kOnnx, path + ": truncated or no ONNX model",
                {std::to_string(bytes.size()) + " bytes that are no whole protobuf message", "an ONNX ModelProto",
                 "export the model again, or copy the whole file"});
  }
  if (!has_version || !has_graph) {
    throw Error(ErrorKind::kOnnx, path + ": no ONNX model in it",
                {std::to_string(bytes.size()) + " bytes without an IR version and a graph", "an ONNX ModelProto",
                 "export the model again, or copy the whole file"});
  }
  return nodes;
}

}  // namespace tf2trt
