// Plugins: operators that an engine needs and TensorRT itself lacks.
#pragma once

#include "tf2trt/library.hpp"

namespace tf2trt {

// Registers NVIDIA's own plugins (libnvinfer_plugin, beside the library), which some ONNX operators and older engines
// use. Once per process and library; later calls do nothing. False where there is no such library, as with
// TensorRT-RTX and the lean runtime, or where it cannot be loaded (TensorRT 8's needs cuBLAS and cuDNN).
bool register_standard_plugins(Library const& library);

}  // namespace tf2trt
