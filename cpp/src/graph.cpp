#include "tf2trt/graph.hpp"

#include "cuda_driver.hpp"

namespace tf2trt {

Graph Graph::capture(void* stream, std::function<void()> const& work) {
  constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on calling CUDA
  cuda::ContextGuard const guard;
  cuda::Driver const& driver = cuda::driver();
  cuda::check(driver.capture_begin(stream, kThreadLocal), "cuStreamBeginCapture");
  void* graph = nullptr;
  try {
    work();
  } catch (...) {
    // A broken capture still has to be ended, or the stream stays unusable.
    driver.capture_end(stream, &graph);
    if (graph != nullptr) driver.graph_destroy(graph);
    throw;
  }
  cuda::check(driver.capture_end(stream, &graph), "cuStreamEndCapture");
  void* executable = nullptr;
  auto const result = driver.graph_instantiate(&executable, graph, 0);
  driver.graph_destroy(graph);
  cuda::check(result, "cuGraphInstantiate");
  return Graph(executable);
}

void Graph::launch(void* stream) const {
  cuda::ContextGuard const guard;
  cuda::check(cuda::driver().graph_launch(executable_.get(), stream), "cuGraphLaunch");
}

void Graph::Destroy::operator()(void* executable) const noexcept {
  cuda::release([executable](auto const& driver) { driver.graph_exec_destroy(executable); });
}

}  // namespace tf2trt
