// Layer times, through IProfiler.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "abi/callbacks.hpp"

namespace tf2trt::detail {

// Once attached to a context it stays: TensorRT 8.6 crashes in the enqueue that follows setProfiler(nullptr). Between
// profiled runs the context is told to emit nothing instead.
class LayerTimes final : public abi::ProfileSink {
 public:
  void on_layer(char const* name, float milliseconds) noexcept override;
  // An nvinfer1::IProfiler of the generation's layout.
  [[nodiscard]] void* profiler(int generation) noexcept;
  // What was reported since the last call.
  std::vector<std::pair<std::string, float>> take() { return std::exchange(times_, {}); }

 private:
  std::vector<std::pair<std::string, float>> times_;
  abi::Profiler8 plain_{*this};
  abi::Profiler11 versioned_{*this};
};

}  // namespace tf2trt::detail
