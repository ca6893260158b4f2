// BuilderOptions::precision: what goes together, and the builder's flags for it.
#pragma once

#include "abi/slots.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt::detail {

// Throws Error(kUsage) where this library lacks what is asked for, or the options contradict each other: before any
// work.
void check_precision(Library const& library, BuilderOptions const& options);

// Throws Error(kUsage) where TensorRT 8 and 10 would leave INT8 or a calibrator without use, and only log it: neither
// Q/DQ layers nor a calibrator in an INT8 build, or both. `network` is the parsed one. Whether there will be scales:
// there are none where rules for layers took them all.
bool check_scales(abi::Api const& api, void* network, BuilderOptions const& options);

void set_precision_flags(abi::Api const& api, void* config, BuilderOptions const& options, bool scales);

}  // namespace tf2trt::detail
