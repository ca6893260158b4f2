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
  // What it was made from: "layer L (op O)", "layer L" or "op O", after the entries "tf2trt.layer" and "tf2trt.op" that
  // tf2trt's export writes into metadata_props. "" where there are none.
  std::string origin;
};

// The nodes of the main graph, in order. Throws Error(kOnnx) where the file is missing, empty, truncated or no ONNX
// model. Field numbers are those of onnx.proto (ModelProto.graph = 7; GraphProto.node = 1; NodeProto.name = 3,
// op_type = 4, domain = 7, metadata_props = 9; StringStringEntryProto.key = 1, value = 2).
std::vector<OnnxNode> scan_onnx(std::string const& path);

// The file's bytes. Throws Error(kOnnx) where it is missing or cannot be read.
std::string read_onnx(std::string const& path);

// The file's bytes without the functions of one domain (ModelProto.functions = 25; FunctionProto.domain = 10). A
// function is an operator's meaning in standard operators: TensorRT from 10 on prefers it to a plugin of that name.
// "" where the file has no such function. Throws as scan_onnx does.
std::string onnx_without_functions(std::string const& path, std::string const& domain);

}  // namespace tf2trt
