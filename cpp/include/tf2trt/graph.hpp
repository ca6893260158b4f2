// A captured CUDA graph: work that was queued once, launched again at a fraction of the cost.
#pragma once

#include <functional>
#include <memory>

namespace tf2trt {

// Holds the addresses and shapes as they were when it was captured; the context and its memory must stay as they are
// for as long as the graph is launched.
class Graph {
 public:
  // Records what `work` queues on `stream`, which is not done now. Throws what `work` throws, and Error(kDevice) where
  // it cannot be captured.
  static Graph capture(void* stream, std::function<void()> const& work);
  // Takes a CUgraphExec.
  explicit Graph(void* executable) noexcept : executable_(executable) {}
  void launch(void* stream) const;

 private:
  struct Destroy {
    void operator()(void* executable) const noexcept;
  };
  std::unique_ptr<void, Destroy> executable_;
};

}  // namespace tf2trt
