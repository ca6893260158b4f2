#include "parser_words.hpp"

#include <algorithm>
#include <regex>
#include <sstream>

#include "abi/call.hpp"

namespace tf2trt::detail {

using abi::call;
using abi::Method;

namespace {

std::string text_of(char const* text) { return text == nullptr ? "" : text; }

bool starts_with(std::string const& text, char const* start) { return text.rfind(start, 0) == 0; }

// "CONDITION: message", where the condition is C++ (with :: and quotes in it).
std::string behind_condition(std::string const& text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    char const c = text[i];
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
    if (c == ':' && text[i + 1] == ' ' && depth == 0) return text.substr(i + 2);
  }
  return text;
}

std::string plain_line(std::string line) {
  // "[checkMacros.cpp::catchCudaError::250] ", "WeightsContext.cpp:203: ", " In operator() at /a/b.cpp:12"
  static std::regex const before(R"(^\s*(\[[^\]\s]*\.(cpp|hpp|cu|h)[^\]]*\]|[^\s:]*\.(cpp|hpp|cu|h):\d+:)\s*)");
  static std::regex const where(R"(,?\s*(\(?)In \S+ at \S+\.(cpp|hpp|cu|h):\d+)");
  line = std::regex_replace(line, before, "");
  // The bracket that opened before "In" closes behind the line's end.
  std::smatch found;
  if (std::regex_search(line, found, where)) {
    bool const opened = found[1].length() > 0;
    std::string rest = found.suffix().str();
    if (opened && !rest.empty() && rest.back() == ')') rest.pop_back();
    line = found.prefix().str() + rest;
  }
  static std::string const assertion = "Assertion failed: ";
  auto const at = line.rfind(assertion);
  if (at != std::string::npos) line = behind_condition(line.substr(at + assertion.size()));
  // CONDITION && "message"
  auto const quote = line.find("&& \"");
  if (quote != std::string::npos && line.back() == '"' && line.size() > quote + 5) {
    line = line.substr(quote + 4, line.size() - quote - 5);
  }
  return line == "false" ? "" : line;
}

}  // namespace

std::vector<ParserError> parser_errors(abi::Api const& api, void* parser) {
  std::vector<ParserError> errors;
  int const count = call<Method::IParser_getNbErrors>(api, parser);
  for (int i = 0; i < count; ++i) {
    void const* found = call<Method::IParser_getError>(api, parser, i);
    if (found == nullptr) continue;
    ParserError error;
    error.node = call<Method::IParserError_node>(api, found);
    if (api.has(Method::IParserError_nodeName)) {
      error.name = text_of(call<Method::IParserError_nodeName>(api, found));
      error.op_type = text_of(call<Method::IParserError_nodeOperator>(api, found));
    }
    if (error.node < 0) {
      // An input's error has the input's name in the place of the C++ file.
      static std::regex const source(R"(\.(cpp|hpp|cu|h)$)");
      std::string const file = text_of(call<Method::IParserError_file>(api, found));
      if (!std::regex_search(file, source)) error.input = file;
    }
    error.words = plain_words(text_of(call<Method::IParserError_desc>(api, found)));
    errors.push_back(std::move(error));
  }
  return errors;
}

std::string plain_words(std::string const& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line = plain_line(line);
    if (!line.empty()) lines.push_back(line);
  }
  auto const says_little = [](std::string const& line) {
    return starts_with(line, "Invalid Node - ") || starts_with(line, "Exception occurred in - ") ||
           line.find("cudaError 35") != std::string::npos;
  };
  if (!std::all_of(lines.begin(), lines.end(), says_little)) {
    lines.erase(std::remove_if(lines.begin(), lines.end(), says_little), lines.end());
  }
  std::string joined;
  for (auto const& line : lines) joined += (joined.empty() ? "" : "; ") + line;
  return joined;
}

}  // namespace tf2trt::detail
