#include "parser_words.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

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

// No std::regex here: TensorRT 8.6's libraries export their own, of another libstdc++, and the two mixed crash.
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

constexpr std::string_view kSources[] = {".cpp", ".hpp", ".cu", ".h"};

bool ends_like_source(std::string_view text) {
  return std::any_of(std::begin(kSources), std::end(kSources), [&](std::string_view end) {
    return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
  });
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

std::size_t skip_word(std::string_view text, std::size_t at) {
  while (at < text.size() && !is_space(text[at])) ++at;
  return at;
}

// Where "FILE:LINE" ends that starts at `at`; npos where there is none.
std::size_t behind_place(std::string_view text, std::size_t at) {
  std::size_t const end = skip_word(text, at);
  for (std::size_t colon = end; colon-- > at;) {
    if (text[colon] != ':' || !ends_like_source(text.substr(at, colon - at))) continue;
    std::size_t digits = colon + 1;
    while (digits < end && is_digit(text[digits])) ++digits;
    if (digits > colon + 1) return digits;
  }
  return std::string_view::npos;
}

// Without "[checkMacros.cpp::catchCudaError::250] " or "WeightsContext.cpp:203: " at its start.
std::string_view behind_source(std::string_view line) {
  std::size_t const start = skip_spaces(line, 0);
  if (start < line.size() && line[start] == '[') {
    std::size_t const close = line.find(']', start);
    std::string_view const word = line.substr(start, std::min(close, skip_word(line, start)) - start);
    bool const names_source = std::any_of(std::begin(kSources), std::end(kSources), [&](std::string_view end) {
      return word.find(end) != std::string_view::npos;
    });
    return close != std::string_view::npos && names_source ? line.substr(skip_spaces(line, close + 1)) : line;
  }
  std::size_t const end = behind_place(line, start);
  if (end == std::string_view::npos || end >= line.size() || line[end] != ':') return line;
  return line.substr(skip_spaces(line, end + 1));
}

// Without ", (In operator() at /a/b.cpp:12)" inside it.
std::string without_place(std::string_view line) {
  for (std::size_t in = line.find("In "); in != std::string_view::npos; in = line.find("In ", in + 1)) {
    std::size_t const at = skip_word(line, in + 3);
    if (at == in + 3 || line.substr(at, 4) != " at ") continue;
    std::size_t const end = behind_place(line, at + 4);
    if (end == std::string_view::npos) continue;
    std::size_t start = in;
    bool const opened = start > 0 && line[start - 1] == '(';
    if (opened) --start;
    while (start > 0 && is_space(line[start - 1])) --start;
    if (start > 0 && line[start - 1] == ',') --start;
    std::string_view rest = line.substr(end);
    if (opened && !rest.empty() && rest.back() == ')') rest.remove_suffix(1);  // the bracket may close far behind
    return std::string(line.substr(0, start)) + std::string(rest);
  }
  return std::string(line);
}

std::string plain_line(std::string const& text) {
  std::string line = without_place(behind_source(text));
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
      std::string const file = text_of(call<Method::IParserError_file>(api, found));
      if (!ends_like_source(file)) error.input = file;
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
