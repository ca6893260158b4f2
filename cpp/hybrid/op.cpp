// The TensorFlow op that runs a segment as a TensorRT engine, on TensorFlow's own stream and memory, and natively where
// no engine fits. Compiled against the installed TensorFlow by tf2trt/hybrid/op.py; CUDA's headers are not needed.
#include "tensorflow/core/framework/op.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "interface.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/logging.h"
#include "xla/stream_executor/stream.h"

namespace tf2trt::hybrid {
namespace {

using tensorflow::DataType;
using tensorflow::FunctionLibraryRuntime;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::PartialTensorShape;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// What became of the calls of one segment, in this process.
struct Counts {
  std::atomic<std::int64_t> engine{0};
  std::atomic<std::int64_t> native{0};
  std::atomic<std::int64_t> builds{0};
};

Counts& counts_of(std::string const& segment) {
  static auto& mutex = *new std::mutex;  // never destroyed: kernels may run while the process ends
  static auto& counts = *new std::map<std::string, Counts>;
  std::scoped_lock const lock(mutex);
  return counts[segment];
}

// NumPy's name of a type; "" of one that no engine has.
char const* name_of(DataType type) {
  switch (type) {
    case tensorflow::DT_FLOAT:
      return "float32";
    case tensorflow::DT_HALF:
      return "float16";
    case tensorflow::DT_BFLOAT16:
      return "bfloat16";
    case tensorflow::DT_INT8:
      return "int8";
    case tensorflow::DT_UINT8:
      return "uint8";
    case tensorflow::DT_INT32:
      return "int32";
    case tensorflow::DT_INT64:
      return "int64";
    case tensorflow::DT_BOOL:
      return "bool";
    default:
      return "";
  }
}

// What libtf2trt_hybrid.so says.
class Message {
 public:
  tf2trt_hybrid_message into() { return {text_.data(), text_.size()}; }
  [[nodiscard]] std::string text() const { return text_.data(); }

 private:
  std::array<char, 2048> text_{};
};

struct CloseEngine {
  void operator()(tf2trt_hybrid_engine* engine) const { tf2trt_hybrid_close(engine); }
};
struct EndRun {
  void operator()(tf2trt_hybrid_run* run) const { tf2trt_hybrid_end(run); }
};
using EnginePointer = std::unique_ptr<tf2trt_hybrid_engine, CloseEngine>;
using RunPointer = std::unique_ptr<tf2trt_hybrid_run, EndRun>;

// The engine of a kernel: opened by the first call, once; what went wrong then is not tried again.
class SegmentEngine {
 public:
  SegmentEngine(std::vector<std::string> inputs, std::vector<std::string> outputs)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

  // nullptr, with the reason, where it cannot be used.
  tf2trt_hybrid_engine* open(std::string const& path, int device, OpKernelContext* context, std::string* reason) {
    std::scoped_lock const lock(mutex_);
    if (!tried_) {
      tried_ = true;
      std::vector<tf2trt_hybrid_tensor> inputs;
      std::vector<tf2trt_hybrid_tensor> outputs;
      inputs.reserve(inputs_.size());
      outputs.reserve(outputs_.size());
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        inputs.push_back({inputs_[i].c_str(), name_of(context->input_dtype(static_cast<int>(i) + 1))});
      }
      for (std::size_t i = 0; i < outputs_.size(); ++i) {
        outputs.push_back({outputs_[i].c_str(), name_of(context->expected_output_dtype(static_cast<int>(i)))});
      }
      Message message;
      tf2trt_hybrid_engine* opened = nullptr;
      if (tf2trt_hybrid_open(path.c_str(), device, inputs.data(), inputs.size(), outputs.data(), outputs.size(),
                             &opened, message.into()) == TF2TRT_HYBRID_OK) {
        engine_.reset(opened);
      } else {
        problem_ = message.text();
      }
    }
    if (!engine_) *reason = problem_;
    return engine_.get();
  }

 private:
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
  std::mutex mutex_;
  bool tried_ = false;
  EnginePointer engine_;
  std::string problem_;
};

// The segment as a TensorFlow function.
class NativeSegment {
 public:
  explicit NativeSegment(tensorflow::NameAttrList function) : function_(std::move(function)) {}
  ~NativeSegment() {
    for (auto const& [library, handle] : handles_) library->ReleaseHandle(handle).IgnoreError();
  }
  NativeSegment(NativeSegment const&) = delete;
  NativeSegment& operator=(NativeSegment const&) = delete;
  NativeSegment(NativeSegment&&) = delete;
  NativeSegment& operator=(NativeSegment&&) = delete;

  // The outputs are the kernel's when `done` is called.
  void run(OpKernelContext* context, bool on_gpu, tensorflow::AsyncOpKernel::DoneCallback const& done) {
    FunctionLibraryRuntime* const library = context->function_library();
    OP_REQUIRES_ASYNC(context, library != nullptr, absl::InternalError("there is no function library"), done);
    FunctionLibraryRuntime::Handle handle{};
    OP_REQUIRES_OK_ASYNC(context, instantiate(context, library, on_gpu, &handle), done);
    FunctionLibraryRuntime::Options options;
    options.step_container = context->step_container();
    options.cancellation_manager = context->cancellation_manager();
    options.stats_collector = context->stats_collector();
    options.collective_executor = context->collective_executor();
    options.runner = context->runner();
    options.run_all_kernels_inline = context->run_all_kernels_inline();
    options.source_device = context->device()->name();
    options.create_rendezvous = true;  // the same function may run more than once at a time
    std::vector<Tensor> arguments;
    for (int i = 1; i < context->num_inputs(); ++i) arguments.push_back(context->input(i));
    auto* const results = new std::vector<Tensor>;
    library->Run(options, handle, arguments, results, [context, results, done](absl::Status const& status) {
      std::unique_ptr<std::vector<Tensor>> const owned(results);
      context->SetStatus(status);
      for (std::size_t i = 0; status.ok() && i < results->size(); ++i) {
        context->set_output(static_cast<int>(i), (*results)[i]);
      }
      done();
    });
  }

 private:
  absl::Status instantiate(OpKernelContext* context, FunctionLibraryRuntime* library, bool on_gpu,
                           FunctionLibraryRuntime::Handle* handle) {
    std::scoped_lock const lock(mutex_);
    if (auto const known = handles_.find(library); known != handles_.end()) {
      *handle = known->second;
      return absl::OkStatus();
    }
    std::string const& device = context->device()->name();
    FunctionLibraryRuntime::InstantiateOptions options;
    options.target = device;
    options.is_multi_device_function = true;  // an operator that the GPU lacks runs on the CPU
    options.config_proto.set_allow_soft_placement(true);
    options.input_devices.resize(static_cast<std::size_t>(context->num_inputs()) - 1, device);
    options.output_devices.resize(static_cast<std::size_t>(context->num_outputs()), device);
    options.int_args_and_retvals_on_device = on_gpu;  // as the kernel has them
    auto const status =
        library->Instantiate(function_.name(), tensorflow::AttrSlice(&function_.attr()), options, handle);
    if (status.ok()) handles_.emplace(library, *handle);
    return status;
  }

  tensorflow::NameAttrList function_;
  std::mutex mutex_;
  std::map<FunctionLibraryRuntime*, FunctionLibraryRuntime::Handle> handles_;
};

class Tf2TrtEngineOp : public tensorflow::AsyncOpKernel {
 public:
  explicit Tf2TrtEngineOp(OpKernelConstruction* context) : AsyncOpKernel(context) {
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    tensorflow::NameAttrList native;
    OP_REQUIRES_OK(context, context->GetAttr("segment", &segment_));
    OP_REQUIRES_OK(context, context->GetAttr("engine_file", &engine_file_));
    OP_REQUIRES_OK(context, context->GetAttr("allow_native", &allow_native_));
    OP_REQUIRES_OK(context, context->GetAttr("input_names", &inputs));
    OP_REQUIRES_OK(context, context->GetAttr("output_names", &outputs));
    OP_REQUIRES_OK(context, context->GetAttr("native", &native));
    int const wanted = context->num_inputs() - 1;
    OP_REQUIRES(context,
                static_cast<int>(inputs.size()) == wanted && static_cast<int>(outputs.size()) == context->num_outputs(),
                absl::InvalidArgumentError("Tf2TrtEngine \"" + segment_ + "\": input_names and output_names have " +
                                           std::to_string(inputs.size()) + " and " + std::to_string(outputs.size()) +
                                           " names for " + std::to_string(wanted) + " inputs and " +
                                           std::to_string(context->num_outputs()) + " outputs"));
    on_gpu_ = context->device_type() == tensorflow::DeviceType(tensorflow::DEVICE_GPU);
    counts_ = &counts_of(segment_);
    engine_ = std::make_unique<SegmentEngine>(std::move(inputs), std::move(outputs));
    native_ = std::make_unique<NativeSegment>(std::move(native));
  }

  void ComputeAsync(OpKernelContext* context, DoneCallback done) override {
    std::string reason;
    if (run_engine(context, &reason)) {
      ++counts_->engine;
      done();
      return;
    }
    if (!context->status().ok()) {  // memory is short: the native segment would need more
      done();
      return;
    }
    OP_REQUIRES_ASYNC(context, allow_native_,
                      absl::FailedPreconditionError("segment \"" + segment_ + "\" cannot run as an engine, and " +
                                                    "allow_native is off: " + reason),
                      done);
    ++counts_->native;
    tell(reason);
    native_->run(context, on_gpu_, done);
  }

 private:
  // Whether the engine's work was queued and the outputs are set. Where not: the reason, or the context's status.
  bool run_engine(OpKernelContext* context, std::string* reason) {
    if (engine_file_.empty()) {
      *reason = "it has no engine";
      return false;
    }
    if (!on_gpu_) {
      *reason = "it was placed on the CPU";
      return false;
    }
    // One asset's path serves all segments, those in the bodies of loops too: the engines lie beside it.
    std::string const asset = context->input(0).scalar<tensorflow::tstring>()();
    std::string const path = asset.substr(0, asset.rfind('/') + 1) + engine_file_;
    auto const* const device = context->device()->tensorflow_accelerator_device_info();
    auto* const engine = engine_->open(path, device == nullptr ? 0 : device->gpu_id, context, reason);
    if (engine == nullptr) return false;
    void* const stream = context->op_device_context()->stream()->platform_specific_handle().stream;

    std::vector<tf2trt_hybrid_shape> inputs;
    std::vector<void const*> input_addresses;
    for (int i = 1; i < context->num_inputs(); ++i) {
      Tensor const& input = context->input(i);
      if (input.dims() > TF2TRT_HYBRID_MAX_RANK) {
        *reason = "an input has more than 8 axes";
        return false;
      }
      auto& shape = inputs.emplace_back();
      shape.rank = input.dims();
      for (int axis = 0; axis < input.dims(); ++axis) shape.extents[axis] = input.dim_size(axis);
      input_addresses.push_back(input.NumElements() == 0 ? nullptr : input.data());
    }
    std::vector<tf2trt_hybrid_shape> outputs(static_cast<std::size_t>(context->num_outputs()));
    Message message;
    tf2trt_hybrid_run* begun = nullptr;
    std::size_t scratch_size = 0;
    if (tf2trt_hybrid_begin(engine, stream, inputs.data(), outputs.data(), &scratch_size, &begun, message.into()) !=
        TF2TRT_HYBRID_OK) {
      *reason = message.text();
      return false;
    }
    RunPointer const run(begun);

    // Not allocate_output: where the run fails, the native segment sets the outputs.
    std::vector<Tensor> results(outputs.size());
    std::vector<void*> output_addresses;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      int const index = static_cast<int>(i);
      TensorShape shape;
      for (int axis = 0; axis < outputs[i].rank; ++axis) shape.AddDim(outputs[i].extents[axis]);
      auto const status = context->allocate_temp(context->expected_output_dtype(index), shape, &results[i],
                                                 context->output_alloc_attr(index));
      if (!status.ok()) {
        context->SetStatus(status);
        return false;
      }
      output_addresses.push_back(results[i].NumElements() == 0 ? nullptr : results[i].data());
    }
    Tensor scratch;  // what comes next on the stream may have it, and that is all that TensorFlow's allocator grants
    if (auto const status = allocate_scratch(context, scratch_size, &scratch); !status.ok()) {
      context->SetStatus(status);
      return false;
    }
    if (tf2trt_hybrid_enqueue(run.get(), input_addresses.data(), output_addresses.data(),
                              scratch_size == 0 ? nullptr : scratch.data(), message.into()) != TF2TRT_HYBRID_OK) {
      *reason = message.text();
      return false;
    }
    for (std::size_t i = 0; i < results.size(); ++i) context->set_output(static_cast<int>(i), std::move(results[i]));
    return true;
  }

  static absl::Status allocate_scratch(OpKernelContext* context, std::size_t size, Tensor* scratch) {
    if (size == 0) return absl::OkStatus();
    return context->allocate_temp(tensorflow::DT_UINT8, TensorShape({static_cast<std::int64_t>(size)}), scratch);
  }

  // Each reason once for a kernel, and not without end: they name shapes.
  void tell(std::string const& reason) {
    constexpr std::size_t kMost = 16;
    std::scoped_lock const lock(mutex_);
    if (told_.size() >= kMost || !told_.emplace(reason, true).second) return;
    if (on_gpu_) {
      LOG(WARNING) << "tf2trt: segment \"" << segment_ << "\" runs natively: " << reason;
    } else {
      VLOG(1) << "tf2trt: segment \"" << segment_ << "\" runs natively: " << reason;
    }
  }

  std::string segment_;
  std::string engine_file_;
  bool allow_native_ = true;
  bool on_gpu_ = false;
  Counts* counts_ = nullptr;
  std::unique_ptr<SegmentEngine> engine_;
  std::unique_ptr<NativeSegment> native_;
  std::mutex mutex_;
  std::map<std::string, bool> told_;
};

class Tf2TrtStatsOp : public tensorflow::OpKernel {
 public:
  explicit Tf2TrtStatsOp(OpKernelConstruction* context) : OpKernel(context) {
    std::string segment;
    OP_REQUIRES_OK(context, context->GetAttr("segment", &segment));
    counts_ = &counts_of(segment);
  }

  void Compute(OpKernelContext* context) override {
    std::array<std::int64_t, 3> const values{counts_->engine, counts_->native, counts_->builds};
    for (std::size_t i = 0; i < values.size(); ++i) {
      Tensor* output = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(static_cast<int>(i), TensorShape({}), &output));
      output->scalar<std::int64_t>()() = values[i];
    }
  }

 private:
  Counts* counts_ = nullptr;
};

absl::Status engine_shapes(tensorflow::shape_inference::InferenceContext* context) {
  std::vector<PartialTensorShape> shapes;
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
    .Attr("InT: list(type) >= 1")
    .Attr("OutT: list(type) >= 1")
    .SetShapeFn(engine_shapes)
    .Doc(R"doc(
Runs a segment of a graph as a TensorRT engine; natively where no engine fits.

asset: the path of the engine file, or of another file in the same folder.
segment: the name under which Tf2TrtStats counts.
engine_file: the engine file's name; empty where the segment has no engine.
native: the segment as a function of `inputs`.
allow_native: whether it may run natively. Otherwise that is an error, which names the reason.
input_names: the inputs' names in the engine.
output_names: the outputs' names in the engine.
output_shapes: what is known of the outputs' shapes beforehand.
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
