// A captured CUDA graph: the work of one enqueue, launched again at a fraction of the cost.
#pragma once

#include <memory>

namespace tf2trt {

// Holds the addresses and shapes as they were when it was captured; the context and its memory must stay as they are
// for as long as the graph is launched.
class Graph {
 public:
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
