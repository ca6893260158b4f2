// A library that looks like TensorRT and its ONNX parser in one, of the version in FAKE_NUMBER: a builder that makes
// networks and nothing else, and a parser that answers as its script says. The slots are NVIDIA's, written down here a
// second time.
#include "support/fake_parser.hpp"

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "support/fake_registry.hpp"

namespace {

using tf2trt::test::FakeError;
using tf2trt::test::FakeScript;

FakeScript g_script;

constexpr bool kRtx = FAKE_NUMBER >= 10000 && FAKE_NUMBER < 100000;
constexpr bool kEleven = kRtx || FAKE_NUMBER >= 110000;
constexpr bool kEight = FAKE_NUMBER < 10000;
constexpr bool kHasV2 = kEleven || FAKE_NUMBER >= 100100;

// {vptr, mImpl}; deleted by slot 1.
struct ApiObject {
  void** table;
  void* implementation;
};

void delete_object(void* self) { delete static_cast<ApiObject*>(self); }

void* make_object(void* implementation) {
  static void* table[] = {nullptr, reinterpret_cast<void*>(&delete_object)};
  return new ApiObject{static_cast<void**>(table), implementation};
}

void* create_network(void* /*builder*/, std::uint32_t flags) {
  constexpr std::uint32_t kExplicitBatch = 1;
  return flags == (kEight ? kExplicitBatch : 0U) ? make_object(nullptr) : nullptr;
}

void* builder_implementation() {
  static Plain& made = *[] {
    auto* plain = new Plain;
    plain->set(kEleven ? 6 : kEight ? 11 : 8, &create_network);
    return plain;
  }();
  return made.object();
}

// A parser with the errors of its own.
struct Parser {
  void** table;
  std::vector<FakeError> errors;
};

struct ErrorObject {
  void** table;
  FakeError error;
};

std::string& error_text(void* self, int field) {
  auto& error = static_cast<ErrorObject*>(self)->error;
  if (field == 1) return error.description;
  if (field == 2) return error.file;
  return field == 6 ? error.name : error.op_type;
}

bool see(void* self, void const* bytes, std::size_t size, char const* path, bool answer) {
  g_script.bytes.assign(static_cast<char const*>(bytes), size);
  g_script.path = path;
  static_cast<Parser*>(self)->errors = g_script.errors;
  return answer;
}

bool parse(void* self, void const* bytes, std::size_t size, char const* path) {
  ++g_script.parsed;
  return see(self, bytes, size, path, g_script.parses);
}

bool parse_from_file(void* self, char const* path, int /*verbosity*/) {
  ++g_script.parsed;
  return see(self, "", 0, path, g_script.parses);
}

using SubGraphs = std::vector<std::pair<std::vector<std::size_t>, bool>>;

bool supports_model(void* self, void const* bytes, std::size_t size, SubGraphs& graphs, char const* path) {
  ++g_script.asked;
  if (g_script.throws) throw std::runtime_error("importer.cpp:12: it threw");
  for (auto const& nodes : g_script.graphs) graphs.emplace_back(nodes, g_script.supported);
  return see(self, bytes, size, path, g_script.supported);
}

bool supports_model_v2(void* self, void const* bytes, std::size_t size, char const* path) {
  ++g_script.asked;
  return see(self, bytes, size, path, g_script.supported);
}

std::int64_t subgraph_count(void* /*self*/) { return static_cast<std::int64_t>(g_script.graphs.size()); }
bool is_subgraph_supported(void* /*self*/, std::int64_t /*index*/) { return g_script.supported; }
std::int64_t* subgraph_nodes(void* /*self*/, std::int64_t index, std::int64_t& length) {
  static std::vector<std::int64_t> nodes;
  auto const& graph = g_script.graphs.at(static_cast<std::size_t>(index));
  nodes.assign(graph.begin(), graph.end());
  length = static_cast<std::int64_t>(nodes.size());
  return nodes.data();
}

bool supports_operator(void* /*self*/, char const* name) { return g_script.operators.count(name) != 0; }
int error_count(void* self) { return static_cast<int>(static_cast<Parser*>(self)->errors.size()); }

void const* get_error(void* self, int index) {
  static Plain& table = *[] {
    auto* plain = new Plain;
    plain->set(1, +[](void* error) { return error_text(error, 1).c_str(); });
    plain->set(2, +[](void* error) { return error_text(error, 2).c_str(); });
    plain->set(5, +[](void* error) { return static_cast<ErrorObject*>(error)->error.node; });
    if (!kEight) {
      plain->set(6, +[](void* error) { return error_text(error, 6).c_str(); });
      plain->set(7, +[](void* error) { return error_text(error, 7).c_str(); });
    }
    return plain;
  }();
  static ErrorObject object;
  object.table = *static_cast<void***>(table.object());
  object.error = static_cast<Parser*>(self)->errors.at(static_cast<std::size_t>(index));
  return &object;
}

void delete_parser(void* self) { delete static_cast<Parser*>(self); }

void** parser_table() {
  static Plain& made = *[] {
    auto* plain = new Plain;
    plain->set(0, &parse);
    plain->set(1, &parse_from_file);
    plain->set(kEleven ? -1 : 2, &supports_model);
    plain->set(kEleven ? 2 : 4, &supports_operator);
    plain->set(kEleven ? 3 : kEight ? 6 : 5, &error_count);
    plain->set(kEleven ? 4 : kEight ? 7 : 6, &get_error);
    plain->set(kEleven ? 7 : kEight ? 10 : 9, &delete_parser);
    int const first = kEleven ? 15 : kHasV2 ? 17 : -4;
    plain->set(first, &supports_model_v2);
    plain->set(first + 1, &subgraph_count);
    plain->set(first + 2, &is_subgraph_supported);
    plain->set(first + 3, &subgraph_nodes);
    return plain;
  }();
  return *static_cast<void***>(made.object());
}

}  // namespace

extern "C" {
FakeScript* fake_script() { return &g_script; }
std::int32_t getInferLibVersion() { return FAKE_NUMBER; }
std::int32_t getNvOnnxParserVersion() { return FAKE_NUMBER; }
void* createInferRuntime_INTERNAL(void* /*logger*/, std::int32_t /*version*/) { return nullptr; }
void* createInferBuilder_INTERNAL(void* /*logger*/, std::int32_t version) {
  return version == FAKE_NUMBER ? make_object(builder_implementation()) : nullptr;
}
void* createNvOnnxParser_INTERNAL(void* network, void* /*logger*/, std::int32_t version) {
  return network != nullptr && version == FAKE_NUMBER ? new Parser{parser_table(), {}} : nullptr;
}
}
