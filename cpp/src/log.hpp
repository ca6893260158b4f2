// The one logger that TensorRT is given, whatever its generation.
#pragma once

namespace tf2trt::detail {

// An nvinfer1::ILogger of the generation's layout. It lives as long as the process: TensorRT keeps the first logger
// that it was given.
void* tensorrt_logger(int generation);

}  // namespace tf2trt::detail
