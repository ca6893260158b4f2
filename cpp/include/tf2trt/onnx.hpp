// What an ONNX file holds, read without any ONNX library: enough to name a node in an error, and to tell a truncated
// file before TensorRT sees it.
#pragma once

#include <string>
#include <vector>

namespace tf2trt {

struct OnnxNode {
  std::string name;
  std::string op_type;
  std::string domain;  // "" for ONNX's own operators
};

// The nodes of the main graph, in order. Throws Error(kOnnx) where the file is missing, empty, truncated or no ONNX
// model. Field numbers are those of onnx.proto (ModelProto.graph = 7; GraphProto.node = 1; NodeProto.name = 3,
// op_type = 4, domain = 7).
std::vector<OnnxNode> scan_onnx(std::string const& path);

}  // namespace tf2trt
