// The TensorRT libraries in this process, as a plugin library meets them: it is linked with none.
#pragma once

#include <string>
#include <vector>

#include "abi/slots.hpp"

namespace tf2trt::plugins {

struct Host {
  std::string path;
  abi::Api api;
  void* registry;  // nvinfer1::IPluginRegistry
  void* (*get_logger)();
};

// The libnvinfer or libnvinfer_lean that holds `address`, as the only element; none where that is another file, or a
// version without tables.
std::vector<Host> host_of(void const* address);

// All of them, in the order they were loaded in.
std::vector<Host> loaded_hosts();

}  // namespace tf2trt::plugins
