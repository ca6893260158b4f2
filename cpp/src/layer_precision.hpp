// Types of single layers, on TensorRT 8 and 10.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "abi/slots.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt::detail {

// Whether a layer's name fits a pattern as Python's fnmatch.fnmatchcase has it (* takes / too), or is the pattern.
bool matches(std::string const& pattern, std::string const& name);

// Up to `count` of the names, those nearest to `wanted` first, by the number of letters to change.
std::vector<std::string> nearest_names(std::string const& wanted, std::vector<std::string> names, std::size_t count);

// Sets the computing and the output types of the layers of a parsed network, and tells which. Throws Error(kUsage) for
// a pattern that no layer matches, with the nearest names.
std::map<std::string, Precision> set_layer_precisions(abi::Api const& api, void* network,
                                                      std::vector<LayerPrecision> const& wanted);

}  // namespace tf2trt::detail
