// A segment as TensorFlow runs it.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tf2trt::hybrid {

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
  void run(tensorflow::OpKernelContext* context, bool on_gpu, tensorflow::AsyncOpKernel::DoneCallback const& done) {
    tensorflow::FunctionLibraryRuntime* const library = context->function_library();
    OP_REQUIRES_ASYNC(context, library != nullptr, absl::InternalError("there is no function library"), done);
    tensorflow::FunctionLibraryRuntime::Handle handle{};
    OP_REQUIRES_OK_ASYNC(context, instantiate(context, library, on_gpu, &handle), done);
    tensorflow::FunctionLibraryRuntime::Options options;
    options.step_container = context->step_container();
    options.cancellation_manager = context->cancellation_manager();
    options.stats_collector = context->stats_collector();
    options.collective_executor = context->collective_executor();
    options.runner = context->runner();
    options.run_all_kernels_inline = context->run_all_kernels_inline();
    options.source_device = context->device()->name();
    options.create_rendezvous = true;  // the same function may run more than once at a time
    std::vector<tensorflow::Tensor> arguments;
    for (int i = 1; i < context->num_inputs(); ++i) arguments.push_back(context->input(i));
    auto* const results = new std::vector<tensorflow::Tensor>;
    library->Run(options, handle, arguments, results, [context, results, done](absl::Status const& status) {
      std::unique_ptr<std::vector<tensorflow::Tensor>> const owned(results);
      context->SetStatus(status);
      for (std::size_t i = 0; status.ok() && i < results->size(); ++i) {
        context->set_output(static_cast<int>(i), (*results)[i]);
      }
      done();
    });
  }

 private:
  absl::Status instantiate(tensorflow::OpKernelContext* context, tensorflow::FunctionLibraryRuntime* library,
                           bool on_gpu, tensorflow::FunctionLibraryRuntime::Handle* handle) {
    std::scoped_lock const lock(mutex_);
    if (auto const known = handles_.find(library); known != handles_.end()) {
      *handle = known->second;
      return absl::OkStatus();
    }
    std::string const& device = context->device()->name();
    tensorflow::FunctionLibraryRuntime::InstantiateOptions options;
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
  std::map<tensorflow::FunctionLibraryRuntime*, tensorflow::FunctionLibraryRuntime::Handle> handles_;
};

}  // namespace tf2trt::hybrid
