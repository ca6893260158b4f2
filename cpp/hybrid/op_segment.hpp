// A segment's engines, as the op's attributes describe them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "interface.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tf2trt::hybrid {

// NumPy's name of a type; "" of one that no engine has.
inline char const* name_of(tensorflow::DataType type) {
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

struct CloseEngines {
  void operator()(tf2trt_hybrid_engines* engines) const { tf2trt_hybrid_close(engines); }
};
struct EndRun {
  void operator()(tf2trt_hybrid_run* run) const { tf2trt_hybrid_end(run); }
};
using EnginesPointer = std::unique_ptr<tf2trt_hybrid_engines, CloseEngines>;
using RunPointer = std::unique_ptr<tf2trt_hybrid_run, EndRun>;

// The engines of a kernel: opened by the first call, once; what went wrong then is not tried again.
class OpSegment {
 public:
  absl::Status read(tensorflow::OpKernelConstruction* context) {
    for (auto const& [name, value] : {std::pair{"engine_file", &engine_file_},
                                      {"onnx_file", &onnx_file_},
                                      {"calibration_file", &calibration_file_},
                                      {"precision", &precision_}}) {
      if (auto status = context->GetAttr(name, value); !status.ok()) return status;
    }
    for (auto const& [name, value] :
         {std::pair{"tensorrt_generation", &generation_}, {"maximum_cached_engines", &most_built_}}) {
      if (auto status = context->GetAttr(name, value); !status.ok()) return status;
    }
    if (auto status = context->GetAttr("workspace", &workspace_); !status.ok()) return status;
    if (auto status = context->GetAttr("input_names", &inputs_); !status.ok()) return status;
    if (auto status = context->GetAttr("output_names", &outputs_); !status.ok()) return status;
    auto const wanted = static_cast<std::size_t>(context->num_inputs()) - 1;
    auto const given = static_cast<std::size_t>(context->num_outputs());
    if (inputs_.size() == wanted && outputs_.size() == given) return absl::OkStatus();
    return absl::InvalidArgumentError("input_names and output_names have " + std::to_string(inputs_.size()) + " and " +
                                      std::to_string(outputs_.size()) + " names for " + std::to_string(wanted) +
                                      " inputs and " + std::to_string(given) + " outputs");
  }

  [[nodiscard]] bool has_engines() const { return !engine_file_.empty() || !onnx_file_.empty(); }

  // The files lie beside `asset`. nullptr, with the reason, where the engine cannot be used.
  tf2trt_hybrid_engines* open(std::string const& asset, int device, tensorflow::OpKernelContext* context,
                              std::string* reason) {
    std::scoped_lock const lock(mutex_);
    if (!tried_) {
      tried_ = true;
      std::string const folder = asset.substr(0, asset.rfind('/') + 1);
      auto const path = [&](std::string const& file) { return file.empty() ? file : folder + file; };
      std::string const engine = path(engine_file_);
      std::string const onnx = path(onnx_file_);
      std::string const calibration = path(calibration_file_);
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
      tf2trt_hybrid_segment const segment{engine.c_str(), onnx.c_str(),   precision_.c_str(), calibration.c_str(),
                                          workspace_,     generation_,    most_built_,        inputs.data(),
                                          inputs.size(),  outputs.data(), outputs.size()};
      Message message;
      tf2trt_hybrid_engines* opened = nullptr;
      if (tf2trt_hybrid_open(&segment, device, &opened, message.into()) == TF2TRT_HYBRID_OK) {
        engines_.reset(opened);
      } else {
        problem_ = message.text();
      }
    }
    if (!engines_) *reason = problem_;
    return engines_.get();
  }

 private:
  std::string engine_file_;
  std::string onnx_file_;
  std::string calibration_file_;
  std::string precision_;
  std::int64_t workspace_ = 0;
  std::int32_t generation_ = 0;
  std::int32_t most_built_ = 1;
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
  std::mutex mutex_;
  bool tried_ = false;
  EnginesPointer engines_;
  std::string problem_;
};

}  // namespace tf2trt::hybrid
