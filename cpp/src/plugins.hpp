// Which plugins a network or a plan needs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tf2trt/library.hpp"
#include "tf2trt/onnx.hpp"

namespace tf2trt::detail {

// Sorted.
std::vector<std::string> plugin_operators(std::vector<OnnxNode> const& nodes);

// Loads `given`, and tf2trt's own plugin library where a node is of its domain; the paths of all that were loaded.
// Throws Error(kPlugin).
std::vector<std::string> plugins_for_network(Library const& library, std::string const& onnx_path,
                                             std::vector<OnnxNode> const& nodes, std::vector<std::string> const& given);

// Loads tf2trt's own plugin library where the plan names its namespace. False where it would be needed and there is
// none.
bool plugins_for_plan(Library const& library, void const* plan, std::size_t size);

}  // namespace tf2trt::detail
