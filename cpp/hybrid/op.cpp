// The TensorFlow ops of converted models, compiled against the installed TensorFlow by tf2trt/hybrid/op.py; CUDA's
// headers are not needed. One source file: reading TensorFlow's headers takes nearly all of the time.
#include "tensorflow/core/framework/op.h"

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "op_counts.hpp"
#include "op_engine.hpp"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf2trt::hybrid {
namespace {

absl::Status engine_shapes(tensorflow::shape_inference::InferenceContext* context) {
  std::vector<tensorflow::PartialTensorShape> shapes;
  auto status = context->GetAttr("output_shapes", &shapes);
  for (int i = 0; status.ok() && i < context->num_outputs(); ++i) {
    auto shape = context->UnknownShape();
    auto const index = static_cast<std::size_t>(i);
    if (index < shapes.size()) status = context->MakeShapeFromPartialTensorShape(shapes[index], &shape);
    context->set_output(i, shape);
  }
  return status;
}

REGISTER_OP("Tf2TrtEngine")
    .Input("asset: string")
    .Input("inputs: InT")
    .Output("outputs: OutT")
    .Attr("segment: string")
    .Attr("engine_file: string")
    .Attr("native: func")
    .Attr("allow_native: bool")
    .Attr("input_names: list(string)")
    .Attr("output_names: list(string)")
    .Attr("output_shapes: list(shape) = []")
    .Attr("onnx_file: string = ''")
    .Attr("calibration_file: string = ''")
    .Attr("precision: string = 'fp32'")
    .Attr("workspace: int >= 0 = 0")
    .Attr("tensorrt_generation: int = 0")
    .Attr("maximum_cached_engines: int >= 1 = 1")
    .Attr("InT: list(type) >= 1")
    .Attr("OutT: list(type) >= 1")
    .SetShapeFn(engine_shapes)
    .Doc(R"doc(
Runs a segment of a graph as a TensorRT engine; natively where no engine fits.

asset: the path of the engine file, or of another file in the same folder.
segment: the name under which Tf2TrtStats counts.
engine_file: the engine file's name; empty where the segment has none.
native: the segment as a function of `inputs`.
allow_native: whether it may run natively. Otherwise that is an error, which names the reason.
input_names: the inputs' names in the engine.
output_names: the outputs' names in the engine.
output_shapes: what is known of the outputs' shapes beforehand.
onnx_file: the name of the file, beside the engine's, to build from where no engine takes the inputs' shapes; empty
  where nothing is built.
calibration_file: a cache of TensorRT's minmax calibrator, for INT8 where onnx_file holds no scales.
precision: of what is built.
workspace: its scratch memory in bytes; 0 leaves it to TensorRT.
tensorrt_generation: the major version of the TensorRT that onnx_file was made for.
maximum_cached_engines: how many built engines are kept, beside the one of engine_file.
)doc");

REGISTER_OP("Tf2TrtStats")
    .Output("engine_calls: int64")
    .Output("native_calls: int64")
    .Output("builds: int64")
    .Attr("segment: string")
    .SetIsStateful()
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* context) {
      for (int i = 0; i < context->num_outputs(); ++i) context->set_output(i, context->Scalar());
      return absl::OkStatus();
    })
    .Doc("How often a segment ran as an engine and natively in this process, and how many engines it built.");

REGISTER_KERNEL_BUILDER(Name("Tf2TrtEngine").Device(tensorflow::DEVICE_CPU), Tf2TrtEngineOp);
REGISTER_KERNEL_BUILDER(Name("Tf2TrtEngine").Device(tensorflow::DEVICE_GPU).HostMemory("asset"), Tf2TrtEngineOp);
REGISTER_KERNEL_BUILDER(Name("Tf2TrtStats").Device(tensorflow::DEVICE_CPU), Tf2TrtStatsOp);

}  // namespace
}  // namespace tf2trt::hybrid
