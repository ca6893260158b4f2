// What a fake TensorRT with a parser (fake_parser.cpp) is to answer, and what it saw. The tests have it from the
// library's fake_script().
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace tf2trt::test {

struct FakeError {
  int node;
  std::string description;
  std::string name;     // 10 and 11
  std::string op_type;  // likewise
  std::string file = "onnxOpImporters.cpp";
};

struct FakeScript {
  bool supported = false;                        // the answer of supportsModel
  std::vector<std::vector<std::size_t>> graphs;  // the lists of nodes
  std::vector<FakeError> errors;                 // once there was an answer
  bool parses = false;                           // the answer of parse and parseFromFile
  bool throws = false;                           // supportsModel does
  std::set<std::string> operators;               // that supportsOperator knows

  int asked = 0;
  int parsed = 0;
  std::string bytes;  // of the last supportsModel or parse
  std::string path;
};

}  // namespace tf2trt::test
