// Plugins: operators that an engine needs and TensorRT itself lacks.
#pragma once

#include <string>
#include <vector>

#include "tf2trt/library.hpp"

namespace tf2trt {

// The domain of the ONNX nodes, and the namespace of the plugins, that tf2trt's own plugin library holds.
inline constexpr char const* kPluginDomain = "tf2trt";

// Registers NVIDIA's own plugins (libnvinfer_plugin, beside the library), which some ONNX operators and older engines
// use. Once per process and library; later calls do nothing. False where there is no such library, as with
// TensorRT-RTX and the lean runtime, or where it cannot be loaded (TensorRT 8's needs cuBLAS and cuDNN).
bool register_standard_plugins(Library const& library);

// Loads a plugin library and registers its operators with this TensorRT; it stays loaded until the process ends. Once
// per process, TensorRT and file; later calls do nothing. Any library that IPluginRegistry::loadLibrary takes will do,
// and any that registers its creators when it is loaded. Throws Error(kPlugin), with the loader's or TensorRT's words:
// no such file, it cannot be loaded, it holds no plugins for this TensorRT, or this is TensorRT-RTX, which has none.
void load_plugin_library(Library const& library, std::string const& path);

// tf2trt's own plugin library, libtf2trt_plugins.so: the file that TF2TRT_PLUGINS_LIBRARY names, else beside the
// program or Python module that this code is in, in ../lib or plugins/ from there, or where the loader finds it. ""
// where there is none. build and Engine load it by themselves where a network or a plan names its operators. Throws
// Error(kPlugin) where TF2TRT_PLUGINS_LIBRARY names no file.
std::string find_plugin_library();

// The operators of tf2trt's plugin library that an ONNX file uses, sorted. Throws Error(kOnnx) as scan_onnx does.
std::vector<std::string> plugin_operators(std::string const& onnx_path);

}  // namespace tf2trt
