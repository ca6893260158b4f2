// Which nodes of a model TensorRT takes, before anything is built.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tf2trt/library.hpp"

namespace tf2trt {

struct UnsupportedNode {
  std::size_t index = 0;  // in the main graph
  // Those of the node that TensorRT refuses: where that lies in a body (If, Loop, Scan) or in a function, its own, and
  // `index` and `origin` are those of the main graph's node that holds it.
  std::string name;     // as in the file: may be ""
  std::string op_type;  // such as "Resize"
  std::string domain;   // "" for ONNX's own operators
  std::string origin;   // OnnxNode::origin
  std::string reason;   // TensorRT's words, on one line, without C++ files
};

struct Support {
  bool supported = false;                    // the whole model can be parsed
  std::size_t nodes = 0;                     // of the main graph
  std::vector<UnsupportedNode> unsupported;  // in the order of the graph
  // What TensorRT says of the model as a whole and of its inputs. Where the model is not supported and no node is
  // named, it is here: a cycle, weights that cannot be read. "" where there is nothing such.
  std::string reason;
};

// Asks TensorRT's ONNX parser. From 10.1 on, and TensorRT-RTX, it looks at every node's operator, attributes and types;
// what only shows as the network is put together (shapes) it reports for the first such node. TensorRT 8 and 10.0 stop
// at the first node that they cannot parse: of those behind it, the ones whose operator is unknown are named, and
// others may turn out unsupported once that one is gone. `plugin_libraries` are loaded, and tf2trt's own where a node
// is of its domain, as build does; TensorRT-RTX takes no plugins, and has those nodes among the unsupported ones.
// Weights in files beside the model are read from there. A full TensorRT needs a GPU for it, TensorRT-RTX does not.
// Throws Error: kOnnx (file missing or truncated), kPlugin, kLibrary, kDevice.
Support supports(Library const& library, std::string const& onnx_path,
                 std::vector<std::string> const& plugin_libraries = {});

}  // namespace tf2trt
