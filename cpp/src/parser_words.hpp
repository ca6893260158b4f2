// What TensorRT's ONNX parser says of a model, as a user can read it.
#pragma once

#include <string>
#include <vector>

#include "abi/slots.hpp"

namespace tf2trt::detail {

struct ParserError {
  int node = -1;     // its number in the main graph; in 10.0 and 10.1 it may be that in a body (If, Loop) or function
  std::string name;  // of the node, in 10 and 11
  std::string op_type;  // likewise
  std::string input;    // the network's input that the error is about; "" for all other errors
  std::string words;    // plain_words of the description
};

// Every error since the parser was made.
std::vector<ParserError> parser_errors(abi::Api const& api, void* parser);

// TensorRT's words without what only its authors can use: C++ files and lines, the expressions of assertions, a node's
// name that is said again, and the missing driver where more is said. One line. "" where nothing is left: the parser
// says no more than "false" of an operator that it does not have.
std::string plain_words(std::string const& text);

}  // namespace tf2trt::detail
