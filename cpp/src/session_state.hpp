// What a session holds.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tf2trt/buffer.hpp"
#include "tf2trt/engine.hpp"
#include "tf2trt/graph.hpp"
#include "tf2trt/session.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {

// One input or output. A shape tensor's values lie in host memory alone.
struct TensorSlot {
  TensorInfo info;
  Shape shape;
  std::size_t bytes = 0;
  std::shared_ptr<PinnedBuffer> host;
  std::shared_ptr<DeviceBuffer> device;  // none where host memory is mapped
  void* given = nullptr;                 // an input's address on the device that the user chose
  void* told = nullptr;                  // the address that TensorRT knows
  bool data_dependent = false;           // an output whose shape TensorRT tells only when it has run
  bool has_allocator = false;
  bool uploaded = false;  // the device's copy for the next launch is queued already

  [[nodiscard]] bool on_host() const noexcept { return info.on_host; }
  // Whether the input is copied to the device for each run.
  [[nodiscard]] bool copied() const noexcept { return device && given == nullptr && bytes != 0; }
  // Then its copy is not in the graph: it runs while the host is still busy with the rest, or launches the graph.
  [[nodiscard]] bool large() const noexcept { return bytes >= kPiece; }
  static constexpr std::size_t kPiece = std::size_t{1} << 18U;
  [[nodiscard]] void* device_address() const noexcept;
  // Where TensorRT is to read or write it.
  [[nodiscard]] void* address() const noexcept;
  // Room for `size` bytes; what is there is lost when it grows.
  void reserve(std::size_t size, bool mapped);
};

struct Session::State {
  State(Engine shared, MemoryMode memory, bool with_graphs);

  void claim_profile();
  void choose_profile(std::vector<Shape> const& shapes);
  void set_shapes(std::vector<Shape> const& shapes);
  // Has TensorRT infer the outputs' shapes, and tells it the addresses.
  void resolve();
  void tell_address(TensorSlot& slot);
  void forget_graph() noexcept;
  void abandon();
  void launch(bool with_download);
  void fill(TensorSlot& slot, void const* data);
  void upload_large();
  void queue(bool with_download);
  // For outputs whose shapes depend on the data: memory when TensorRT asks for it, and the copies once they are known.
  void allocate_when_asked(TensorSlot& slot);
  void fetch_data_dependent();
  [[nodiscard]] bool shape_values_changed();

  Engine engine;
  bool mapped;
  bool graphs;  // runs may be captured
  Stream stream;
  ExecutionContext context;  // before the graph goes, after its memory: declared between them
  std::vector<TensorSlot> slots;
  std::vector<std::size_t> inputs;
  std::vector<std::size_t> outputs;
  std::vector<std::vector<ShapeRange>> profiles;  // by profile, then by input; empty for a static engine
  int profile = 0;
  bool has_shape_inputs = false;
  std::vector<std::byte> shape_values;  // those that the outputs' shapes were inferred from

  bool shaped = false;    // set_shapes came to its end
  bool resolved = false;  // and resolve
  bool empty = false;     // a batch of nothing, which no profile takes: there is nothing to run
  bool enqueued = false;  // run once since the last change
  bool download = true;   // what the graph does, or the last launch did
  bool data_dependent = false;
  bool in_flight = false;
  std::optional<Graph> graph;
  std::string graph_problem;
};

}  // namespace tf2trt
