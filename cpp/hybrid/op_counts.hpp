// What became of the calls of a segment, in this process, and the kernel of the op that tells it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "tensorflow/core/framework/op_kernel.h"

namespace tf2trt::hybrid {

struct Counts {
  std::atomic<std::int64_t> engine{0};
  std::atomic<std::int64_t> native{0};
  std::atomic<std::int64_t> builds{0};
};

inline Counts& counts_of(std::string const& segment) {
  static auto& mutex = *new std::mutex;  // never destroyed: kernels may run while the process ends
  static auto& counts = *new std::map<std::string, Counts>;
  std::scoped_lock const lock(mutex);
  return counts[segment];
}

class Tf2TrtStatsOp : public tensorflow::OpKernel {
 public:
  explicit Tf2TrtStatsOp(tensorflow::OpKernelConstruction* context) : OpKernel(context) {
    std::string segment;
    OP_REQUIRES_OK(context, context->GetAttr("segment", &segment));
    counts_ = &counts_of(segment);
  }

  void Compute(tensorflow::OpKernelContext* context) override {
    std::array<std::int64_t, 3> const values{counts_->engine, counts_->native, counts_->builds};
    for (std::size_t i = 0; i < values.size(); ++i) {
      tensorflow::Tensor* output = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(static_cast<int>(i), tensorflow::TensorShape({}), &output));
      output->scalar<std::int64_t>()() = values[i];
    }
  }

 private:
  Counts* counts_ = nullptr;
};

}  // namespace tf2trt::hybrid
