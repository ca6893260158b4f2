// The kernel that runs a segment as an engine, on TensorFlow's own stream and memory, and natively where none fits.
#pragma once

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
#include "op_counts.hpp"
#include "op_native.hpp"
#include "op_segment.hpp"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/logging.h"
#include "xla/stream_executor/stream.h"

namespace tf2trt::hybrid {

class Tf2TrtEngineOp : public tensorflow::AsyncOpKernel {
 public:
  explicit Tf2TrtEngineOp(tensorflow::OpKernelConstruction* context) : AsyncOpKernel(context) {
    tensorflow::NameAttrList native;
    OP_REQUIRES_OK(context, context->GetAttr("segment", &segment_));
    OP_REQUIRES_OK(context, context->GetAttr("allow_native", &allow_native_));
    OP_REQUIRES_OK(context, context->GetAttr("native", &native));
    auto const status = engines_.read(context);
    OP_REQUIRES(context, status.ok(),
                absl::InvalidArgumentError("Tf2TrtEngine \"" + segment_ + "\": " + std::string(status.message())));
    on_gpu_ = context->device_type() == tensorflow::DeviceType(tensorflow::DEVICE_GPU);
    counts_ = &counts_of(segment_);
    native_ = std::make_unique<NativeSegment>(std::move(native));
  }

  void ComputeAsync(tensorflow::OpKernelContext* context, DoneCallback done) override {
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
  bool run_engine(tensorflow::OpKernelContext* context, std::string* reason) {
    if (!engines_.has_engines()) {
      *reason = "it has no engine";
      return false;
    }
    if (!on_gpu_) {
      *reason = "it was placed on the CPU";
      return false;
    }
    // One asset's path serves all segments, those in the bodies of loops too.
    std::string const asset = context->input(0).scalar<tensorflow::tstring>()();
    auto const* const device = context->device()->tensorflow_accelerator_device_info();
    auto* const engines = engines_.open(asset, device == nullptr ? 0 : device->gpu_id, context, reason);
    if (engines == nullptr) return false;
    void* const stream = context->op_device_context()->stream()->platform_specific_handle().stream;

    std::vector<tf2trt_hybrid_shape> inputs;
    for (int i = 1; i < context->num_inputs(); ++i) {
      tensorflow::Tensor const& input = context->input(i);
      if (input.dims() > TF2TRT_HYBRID_MAX_RANK) {
        *reason = "an input has more than 8 axes";
        return false;
      }
      auto& shape = inputs.emplace_back();
      shape.rank = input.dims();
      for (int axis = 0; axis < input.dims(); ++axis) shape.extents[axis] = input.dim_size(axis);
    }
    std::vector<tf2trt_hybrid_shape> outputs(static_cast<std::size_t>(context->num_outputs()));
    Message message;
    tf2trt_hybrid_begun begun{};
    int const status = tf2trt_hybrid_begin(engines, stream, inputs.data(), allow_native_ ? 0 : 1, outputs.data(),
                                           &begun, message.into());
    if (begun.built != 0) {
      ++counts_->builds;
      LOG(INFO) << "tf2trt: an engine was built for segment \"" << segment_ << "\"";
    }
    if (status != TF2TRT_HYBRID_OK) {
      *reason = message.text();
      return false;
    }
    RunPointer const run(begun.run);

    std::vector<tensorflow::Tensor> copies;
    std::vector<void const*> input_addresses;
    for (int i = 1; i < context->num_inputs(); ++i) {
      tensorflow::Tensor input = context->input(i);
      if (!is_aligned(input)) {
        if (auto const copied = copy(context, context->input(i), &input); !copied.ok()) {
          context->SetStatus(copied);
          return false;
        }
        copies.push_back(input);
      }
      input_addresses.push_back(input.NumElements() == 0 ? nullptr : input.data());
    }

    // Not allocate_output: where the run fails, the native segment sets the outputs.
    std::vector<tensorflow::Tensor> results(outputs.size());
    std::vector<void*> output_addresses;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      int const index = static_cast<int>(i);
      tensorflow::TensorShape shape;
      for (int axis = 0; axis < outputs[i].rank; ++axis) shape.AddDim(outputs[i].extents[axis]);
      auto const allocated = context->allocate_temp(context->expected_output_dtype(index), shape, &results[i],
                                                    context->output_alloc_attr(index));
      if (!allocated.ok()) {
        context->SetStatus(allocated);
        return false;
      }
      output_addresses.push_back(results[i].NumElements() == 0 ? nullptr : results[i].data());
    }
    // What comes next on the stream may have it, and that is all that TensorFlow's allocator grants.
    tensorflow::Tensor scratch;
    if (auto const allocated = allocate_scratch(context, begun.scratch_size, &scratch); !allocated.ok()) {
      context->SetStatus(allocated);
      return false;
    }
    if (tf2trt_hybrid_enqueue(run.get(), input_addresses.data(), output_addresses.data(),
                              begun.scratch_size == 0 ? nullptr : scratch.data(), message.into()) != TF2TRT_HYBRID_OK) {
      *reason = message.text();
      return false;
    }
    for (std::size_t i = 0; i < results.size(); ++i) context->set_output(static_cast<int>(i), std::move(results[i]));
    return true;
  }

  // As TensorRT wants addresses. TensorFlow's allocator gives no others, but a part of a tensor, a row of a batch or an
  // item of a list, lies at any multiple of 64 in it.
  static bool is_aligned(tensorflow::Tensor const& input) {
    constexpr std::uintptr_t kAlignment = 256;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): an address is looked at
    return input.NumElements() == 0 || reinterpret_cast<std::uintptr_t>(input.data()) % kAlignment == 0;
  }

  // Queues a copy to memory of its own on the kernel's stream.
  static absl::Status copy(tensorflow::OpKernelContext* context, tensorflow::Tensor const& input,
                           tensorflow::Tensor* copied) {
    if (auto status = context->allocate_temp(input.dtype(), input.shape(), copied); !status.ok()) return status;
    absl::Status copying;
    context->op_device_context()->CopyTensorInSameDevice(
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): a kernel's device is one
        &input, static_cast<tensorflow::Device*>(context->device()), copied,
        [&copying](absl::Status const& status) { copying = status; });  // called before it returns: it only queues
    return copying;
  }

  static absl::Status allocate_scratch(tensorflow::OpKernelContext* context, std::size_t size,
                                       tensorflow::Tensor* scratch) {
    if (size == 0) return absl::OkStatus();
    return context->allocate_temp(tensorflow::DT_UINT8, tensorflow::TensorShape({static_cast<std::int64_t>(size)}),
                                  scratch);
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
  bool allow_native_ = true;
  bool on_gpu_ = false;
  Counts* counts_ = nullptr;
  OpSegment engines_;
  std::unique_ptr<NativeSegment> native_;
  std::mutex mutex_;
  std::map<std::string, bool> told_;
};

}  // namespace tf2trt::hybrid
