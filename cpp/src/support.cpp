#include "tf2trt/support.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <set>
#include <string_view>

#include "abi/call.hpp"
#include "abi/object.hpp"
#include "abi/shared_object.hpp"
#include "library_state.hpp"
#include "parser.hpp"
#include "parser_words.hpp"
#include "plugins.hpp"
#include "tf2trt/logger.hpp"
#include "tf2trt/onnx.hpp"
#include "tf2trt/plugin.hpp"

namespace tf2trt {

using abi::call;
using abi::Method;

namespace {

void add_words(std::string& text, std::string const& words) {
  if (words.empty() || text.find(words) != std::string::npos) return;
  text += (text.empty() ? "" : "; ") + words;
}

// What the parser answered.
struct Answer {
  bool supported = false;
  // The nodes that it lists. Its flag of each list is no verdict on them: unless the whole model is supported it says
  // "unknown"; the unsupported nodes are those in no list.
  std::set<std::size_t> listed;
  std::string thrown;
};

void list_nodes(abi::Api const& api, void* parser, Answer& answer) {
  auto const count = call<Method::IParser_getNbSubgraphs>(api, parser);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t length = 0;
    auto const* nodes = call<Method::IParser_getSubgraphNodes>(api, parser, i, &length);
    for (std::int64_t k = 0; nodes != nullptr && k < length; ++k) {
      answer.listed.insert(static_cast<std::size_t>(nodes[k]));
    }
  }
}

Answer ask(abi::Api const& api, void* parser, std::string const& bytes, std::string const& path) {
  Answer answer;
  auto const* data = static_cast<void const*>(bytes.data());
  if (api.has(Method::IParser_supportsModelV2)) {
    answer.supported = call<Method::IParser_supportsModelV2>(api, parser, data, bytes.size(), path.c_str());
    list_nodes(api, parser, answer);
    return answer;
  }
  abi::SubGraphs graphs;
  try {  // not noexcept before 10.1
    answer.supported = call<Method::IParser_supportsModel>(api, parser, data, bytes.size(), &graphs, path.c_str());
  } catch (std::exception const& error) {
    answer.thrown = detail::plain_words(error.what());
  }
  for (auto const& graph : graphs) answer.listed.insert(graph.first.begin(), graph.first.end());
  return answer;
}

// Nodes whose outputs' shapes depend on data: the parser takes them, but lists them nowhere because ONNX Runtime, for
// which the lists were made, cannot hand them over.
bool is_left_out_for_onnx_runtime(OnnxNode const& node) {
  return node.op_type == "NonMaxSuppression" || node.op_type == "NonZero" || node.op_type == "RoiAlign";
}

bool is_onnx(OnnxNode const& node) { return node.domain.empty() || node.domain == "ai.onnx"; }

bool has_body(OnnxNode const& node) {
  return node.op_type == "If" || node.op_type == "Loop" || node.op_type == "Scan" || !is_onnx(node);
}

class Verdict {
 public:
  Verdict(Library const& library, std::vector<OnnxNode> const& nodes)
      : library_(library), api_(library.state().api), nodes_(nodes) {}

  void add_errors(std::vector<detail::ParserError> const& errors) {
    for (auto const& error : errors) {
      if (error.node < 0 || static_cast<std::size_t>(error.node) >= nodes_.size()) {
        bool const of_input = !error.input.empty();
        of_input_ = of_input_ || of_input;
        add_words(result_.reason, (of_input ? "input \"" + error.input + "\": " : "") + error.words);
      } else {
        add_error(error);
      }
    }
  }

  // The nodes that no error names.
  void add_unlisted(Answer const& answer, void* parser) {
    bool const has_lists = !answer.listed.empty() || of_input_ || !result_.unsupported.empty();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      auto const& node = nodes_[i];
      if (named_.count(i) != 0 || is_left_out_for_onnx_runtime(node)) continue;
      bool const listed = answer.listed.count(i) != 0;
      bool known = true;
      if (!api_.has(Method::IParser_supportsModelV2)) {
        bool const has_importer = call<Method::IParser_supportsOperator>(api_, parser, node.op_type.c_str());
        // 8.5 and 8.6.0 list no plugins; in 10.0 an operator may be a function of the file.
        if (!has_importer && is_plugin(node)) continue;
        known = has_importer || (listed && !is_onnx(node));
      }
      if (!known) {
        entry(i, node.name, node.op_type).reason = "the parser knows no operator of this name, and there is no plugin";
      } else if (!listed && has_lists) {
        add_words(entry(i, node.name, node.op_type).reason,
                  of_input_ ? result_.reason : "TensorRT does not list it and says no more");
      }
    }
  }

  Support finish(LogCapture const& log) {
    auto& nodes = result_.unsupported;
    for (auto& node : nodes) {
      for (auto const& line : log.lines()) {  // the parser's own words are of the consequences
        if (line.text.rfind("plugin " + node.op_type + ":", 0) == 0) add_words(node.reason, line.text);
      }
    }
    if (nodes.empty() || !result_.reason.empty()) add_log(log);
    std::stable_sort(nodes.begin(), nodes.end(), [](auto const& a, auto const& b) { return a.index < b.index; });
    return std::move(result_);
  }

  void add_reason(std::string const& words) { add_words(result_.reason, words); }

 private:
  void add_error(detail::ParserError const& error) {
    auto index = static_cast<std::size_t>(error.node);
    auto const& node = nodes_[index];
    bool const is_itself = error.op_type.empty() || (error.op_type == node.op_type && error.name == node.name);
    std::string reason = error.words;
    std::string const& name = is_itself ? node.name : error.name;
    std::string const& op_type = is_itself ? node.op_type : error.op_type;
    named_.insert(index);
    if (!is_itself && !has_body(node)) {
      // 10.0 and 10.1 give the number in the body, which says nothing about the main graph.
      auto const outer = std::find_if(nodes_.begin(), nodes_.end(), has_body);
      if (outer != nodes_.end()) index = static_cast<std::size_t>(outer - nodes_.begin());
      named_.insert(index);
    }
    if (reason.empty()) reason = "TensorRT does not support the operator " + op_type;
    if (!is_itself) reason = "inside " + nodes_[index].op_type + " \"" + nodes_[index].name + "\": " + reason;
    if (library_.kind() == LibraryKind::kRtx && nodes_[index].domain == kPluginDomain) {
      reason = "TensorRT-RTX takes no plugins";
    }
    add_words(entry(index, name, op_type).reason, reason);
  }

  UnsupportedNode& entry(std::size_t index, std::string const& name, std::string const& op_type) {
    auto& nodes = result_.unsupported;
    auto const same = [&](auto const& node) {
      return node.index == index && node.name == name && node.op_type == op_type;
    };
    auto const found = std::find_if(nodes.begin(), nodes.end(), same);
    if (found != nodes.end()) return *found;
    bool const is_itself = op_type == nodes_[index].op_type;
    nodes.push_back({index, name, op_type, is_itself ? nodes_[index].domain : "", nodes_[index].origin, ""});
    return nodes.back();
  }

  // The names that plugins go by in ONNX files: the domain is the plugin's namespace, or it has none.
  [[nodiscard]] bool is_plugin(OnnxNode const& node) const {
    void* handle = abi::load_shared_object(library_.path());
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    auto const get = reinterpret_cast<void* (*)()>(abi::find_symbol(handle, "getPluginRegistry"));
    if (get == nullptr) return false;
    void* registry = get();
    auto const has = [&](char const* space) {
      char const* name = node.op_type.c_str();
      char const* version = "1";
      if (api_.generation() == 8) {
        return call<Method::IPluginRegistry_getPluginCreator>(api_, registry, name, version, space) != nullptr;
      }
      return call<Method::IPluginRegistry_getCreator>(api_, registry, name, version, space) != nullptr;
    };
    return has(node.domain.c_str()) || (!node.domain.empty() && has(""));
  }

  // Errors that the parser logs and does not hand over, such as a file of weights that cannot be opened. The others are
  // logged as three lines each, around the node's text.
  void add_log(LogCapture const& log) {
    for (auto const& line : log.lines()) {
      if (line.severity > Severity::kError) continue;
      bool is_known = false;
      for (char const* start : {"While parsing node number", "--- Begin node ---", "--- End node ---", "ERROR: "}) {
        is_known = is_known || line.text.find(start) != std::string::npos;
      }
      if (!is_known) add_words(result_.reason, detail::plain_words(line.text));
    }
  }

  Library const& library_;
  abi::Api const& api_;
  std::vector<OnnxNode> const& nodes_;
  std::set<std::size_t> named_;  // by errors
  bool of_input_ = false;
  Support result_{false, nodes_.size(), {}, ""};
};

}  // namespace

Support supports(Library const& library, std::string const& onnx_path,
                 std::vector<std::string> const& plugin_libraries) {
  auto const nodes = scan_onnx(onnx_path);
  Library::State const& state = library.state();
  abi::Api const& api = state.api;
  // TensorRT-RTX would refuse the whole model for its plugins; here they are nodes as others are.
  bool const rtx = library.kind() == LibraryKind::kRtx;
  detail::plugins_for_network(library, onnx_path, rtx ? std::vector<OnnxNode>{} : nodes, plugin_libraries);
  LogCapture const log;
  abi::Owned const builder = state.make_builder();
  Support whole{true, nodes.size(), {}, ""};
  Verdict verdict(library, nodes);
  if (!nodes.empty()) {  // supportsModel of 8 and 10 writes past its lists where there are no nodes
    abi::Owned const network = detail::make_network(api, builder.get());
    abi::Owned const parser = state.make_parser(network.get());
    std::string bytes = detail::without_plugin_functions(api, onnx_path, nodes);
    if (bytes.empty()) bytes = read_onnx(onnx_path);
    Answer const answer = ask(api, parser.get(), bytes, std::filesystem::absolute(onnx_path).string());
    if (answer.supported) return whole;
    auto const errors = detail::parser_errors(api, parser.get());
    if (!errors.empty() || !answer.thrown.empty()) {
      verdict.add_errors(errors);
      verdict.add_reason(answer.thrown);
      verdict.add_unlisted(answer, parser.get());
      return verdict.finish(log);
    }
  }
  // No, and not one error: some nodes are only left out for ONNX Runtime. Parsing tells.
  abi::Owned const network = detail::make_network(api, builder.get());
  abi::Owned const parser = state.make_parser(network.get());
  if (detail::try_parse(api, parser.get(), onnx_path, nodes)) return whole;
  verdict.add_errors(detail::parser_errors(api, parser.get()));
  return verdict.finish(log);
}

}  // namespace tf2trt
