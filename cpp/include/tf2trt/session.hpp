// The whole of running an engine in one object: memory, stream, copies, CUDA graph.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tf2trt/engine.hpp"

namespace tf2trt {

// A tensor in ordinary host memory, row-major.
struct HostTensor {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::vector<std::byte> data;
};

// Where inputs and outputs lie.
enum class MemoryMode {
  kAuto,    // kMapped on a GPU that shares the host's memory, as on a Jetson; else kCopy
  kCopy,    // in pinned host memory and in device memory, with copies between the two
  kMapped,  // in pinned host memory that the GPU reads and writes in place: no copies
};

// Runs an engine on one stream, one call at a time. Memory is allocated once for each shape and only grows. The first
// run of a shape is a plain enqueue, which TensorRT needs before it can be captured; the second is captured as a CUDA
// graph, copies included (but those of large inputs, which are queued before it), which is replayed until a shape or an
// address changes.
//
//   Session session(engine);
//   auto outputs = session.run(inputs);         // ordinary arrays in and out
//
// or, for programs that fill the pinned memory themselves, with tensors by their place in Engine::tensors():
//
//   session.set_shapes({{1, 224, 224, 3}});     // of the inputs, in the engine's order
//   fill(session.host(0)); session.launch(); session.wait(); use(session.host(1), session.shape(1));
class Session {
 public:
  // Without `graphs` every run is enqueued anew. Throws Error(kDevice) where memory is missing; Error(kEngine) where
  // another context has the engine's only profile.
  explicit Session(Engine const& engine, MemoryMode memory = MemoryMode::kAuto, bool graphs = true);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  Session(Session const&) = delete;
  Session& operator=(Session const&) = delete;

  // Copies in, runs, copies out, waits. Throws Error(kInput), before any work, for a missing or unknown name, another
  // dtype, or a shape or byte count that does not fit.
  std::map<std::string, HostTensor> run(std::map<std::string, HostTensor> const& inputs);

  // Chooses a profile that takes these shapes of the inputs and reserves memory; does nothing where they are as before.
  // No work may be in flight. Throws Error(kInput), Error(kDevice).
  void set_shapes(std::vector<Shape> const& inputs);
  // As they are for the inputs' shapes. Of an output whose shape depends on the data: as the last run found it.
  [[nodiscard]] Shape const& shape(std::size_t tensor);
  [[nodiscard]] std::size_t bytes(std::size_t tensor);
  // Whether the shape is known only after each run.
  [[nodiscard]] bool data_dependent(std::size_t tensor) const;
  // A tensor's memory, which moves when it must grow: it stays where it is for as long as the shapes stay. On the host
  // it is pinned; on the device it may be nullptr (values of shape tensors).
  [[nodiscard]] void* host(std::size_t tensor) const;
  [[nodiscard]] void* device(std::size_t tensor) const;
  // The same; the memory lives on with the pointer.
  [[nodiscard]] std::shared_ptr<void> share_host(std::size_t tensor) const;
  [[nodiscard]] std::shared_ptr<void> share_device(std::size_t tensor) const;
  // Has an input read where it lies on the device already, at an address in the engine's CUDA context; nullptr: from
  // the session's own memory again. The memory must outlive the run.
  void set_device_input(std::size_t tensor, void* address);

  // Copies `bytes(input)` bytes of ordinary memory into the input's pinned memory. A large one is on its way to the
  // device piece by piece meanwhile; to change host() afterwards, call this again. Follows set_shapes.
  void fill(std::size_t input, void const* data);
  // Queues copies and work; does not wait. `download`: outputs are copied to the host.
  void launch(bool download = true);
  // Blocks until the last launch is done.
  void wait();
  // Whether it is done.
  [[nodiscard]] bool done() const;

  // Milliseconds on the GPU for each of `count` launches of the last run's work without any copy, one after the other.
  // `ahead` of them are queued while one runs, which hides the host's part of a launch; 0: each is waited for.
  [[nodiscard]] std::vector<float> time_launches(int count, int ahead = 0);
  // Each layer's name and milliseconds for the last run's work.
  [[nodiscard]] std::vector<std::pair<std::string, float>> profile_layers();

  [[nodiscard]] Engine const& engine() const noexcept;
  [[nodiscard]] bool mapped() const noexcept;
  [[nodiscard]] void* stream() const noexcept;
  // Whether the last launch replayed a graph.
  [[nodiscard]] bool replays() const noexcept;
  // Why this engine runs without a CUDA graph; "" where nothing speaks against one.
  [[nodiscard]] std::string const& graph_problem() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tf2trt
