// Optimisation profiles: what the inputs of a parsed network allow, and how the builder is told.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "abi/slots.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt::detail {

// Throws Error(kUsage) where a profile names what is no input or does not fit one, or where an input of dynamic shape
// or a shape tensor is in none. An entry holds shapes; for a shape tensor, its values.
void check_profiles(abi::Api const& api, std::vector<TensorInfo> const& inputs, std::vector<Profile> const& profiles);

// The profiles that were given, or the one that a network of static inputs needs all the same.
std::vector<Profile> needed_profiles(abi::Api const& api, void* network, std::vector<TensorInfo> const& inputs,
                                     std::vector<Profile> const& profiles);

// Throws Error(kUsage) where TensorRT refuses one.
void add_profiles(abi::Api const& api, void* builder, void* config, std::vector<TensorInfo> const& inputs,
                  std::vector<Profile> const& profiles);

// The shapes that INT8 calibration runs with: one for each input. Throws Error(kUsage) where TensorRT refuses them.
void set_calibration_profile(abi::Api const& api, void* builder, void* config, std::vector<TensorInfo> const& inputs,
                             std::map<std::string, Shape> const& shapes);

}  // namespace tf2trt::detail
