// A deserialised engine and its execution contexts.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tf2trt/graph.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt {

namespace abi {
class Api;
}

class ExecutionContext;

// Gives memory for outputs whose sizes depend on the data. Called from within enqueue, by its thread; what it throws is
// thrown by enqueue.
class OutputAllocator {
 public:
  OutputAllocator() = default;
  virtual ~OutputAllocator() = default;
  OutputAllocator(OutputAllocator const&) = delete;
  OutputAllocator& operator=(OutputAllocator const&) = delete;
  OutputAllocator(OutputAllocator&&) = delete;
  OutputAllocator& operator=(OutputAllocator&&) = delete;

  // At least `bytes` of device memory (never 0, also for an empty output), as DeviceBuffer has it; it has to outlive
  // the work that was queued. nullptr where there is none: enqueue fails.
  virtual void* allocate(std::string const& name, std::size_t bytes) = 0;
  // The output's shape, told before enqueue returns.
  virtual void shape(std::string const& name, Shape const& extents) = 0;
};

// An engine. Copies share it; it may be used from several threads at once.
class Engine {
 public:
  // Maps a plan file and deserialises it with the library that its header asks for; `folders` and `kind` as in
  // Library::find: LibraryKind::kLean is for version-compatible plans, where the full TensorRT shall not be loaded.
  // Plugin libraries that the plan needs are named, but for tf2trt's own, which is found where it is needed.
  // Throws Error: kEngine (missing, truncated, damaged), kLibraryNotFound (no library reads it), kPlugin, kDevice (no
  // GPU).
  static Engine load(std::string const& path, std::vector<std::string> const& folders = {},
                     std::vector<std::string> const& plugin_libraries = {},
                     std::optional<LibraryKind> kind = std::nullopt);
  // Throws Error: kEngine, kEngineVersion (another TensorRT wrote it), kPlugin, kDevice. The bytes are not kept. The
  // engine lives in the primary context of the GPU of number `device`; without one, in the context that the thread has,
  // or else in the primary context of GPU 0.
  static Engine deserialize(Library const& library, void const* plan, std::size_t size,
                            std::optional<int> device = std::nullopt);

  [[nodiscard]] std::string name() const;
  // Inputs and outputs, in the engine's own order.
  [[nodiscard]] std::vector<TensorInfo> const& tensors() const noexcept;
  [[nodiscard]] int profile_count() const;
  [[nodiscard]] int layer_count() const;
  // Bytes that each context needs on the device for activations.
  [[nodiscard]] std::size_t device_memory_size() const;
  // The range of an input's shape in one optimisation profile. Throws Error(kInput) for a name that is no input.
  [[nodiscard]] ShapeRange profile_shape(std::string const& name, int profile) const;
  // The range of a shape tensor's values in one optimisation profile. Throws Error(kInput) for a name that is no input,
  // and for an input that is no shape tensor.
  [[nodiscard]] ShapeRange profile_values(std::string const& name, int profile) const;
  // The engine inspector's JSON: layers with their tactics, formats and types. TensorRT tells the types of a dynamic
  // engine only for given shapes: those are the most usual ones of profile 0, for which a context is made meanwhile.
  [[nodiscard]] std::string information() const;
  // Allocates device memory. Throws Error(kDevice), with the figures, where less is free than the engine says it needs.
  [[nodiscard]] ExecutionContext create_context() const;
  // A context that allocates no memory for activations: set_device_memory gives it some before each enqueue.
  [[nodiscard]] ExecutionContext create_context_without_memory() const;
  // The CUcontext that it lives in. Contexts, streams and memory for it belong there.
  [[nodiscard]] void* cuda_context() const noexcept;

  struct State;

 private:
  [[nodiscard]] ExecutionContext make_context(void* (*create)(abi::Api const&, void const*)) const;
  explicit Engine(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// Runs an engine. One thread at a time. Nothing here synchronises but profile_layers.
class ExecutionContext {
 public:
  // Chooses an optimisation profile; input shapes have to be set again.
  void set_profile(int index, void* stream);
  // Throws Error(kInput) with TensorRT's words where the profile does not allow the shape.
  void set_input_shape(std::string const& name, Shape const& shape);
  // The shape as it follows from the input shapes; -1 where it does not yet.
  [[nodiscard]] Shape tensor_shape(std::string const& name) const;
  // Device memory; host memory where TensorInfo says on_host. The memory must outlive the work that uses it.
  void set_tensor_address(std::string const& name, void* address);
  // Memory for the activations of a context that was created without: at least Engine::device_memory_size() bytes of
  // the device's, at a multiple of 256. It is in use until the work that is queued next is done.
  void set_device_memory(void* address, std::size_t bytes);
  // Where the memory of an output comes from, instead of an address; kept until another one, or nullptr, is set. Throws
  // Error(kInput) for a name that is no output.
  void set_output_allocator(std::string const& name, std::shared_ptr<OutputAllocator> allocator);
  // The inputs whose shapes (or, for shape tensors, values) are missing.
  [[nodiscard]] std::vector<std::string> unresolved_inputs() const;
  // Queues the engine's work. Throws Error(kEngine) with TensorRT's words.
  void enqueue(void* stream);
  // Captures one enqueue. Run enqueue once before, with the same shapes: TensorRT allocates and compiles lazily.
  [[nodiscard]] Graph capture(void* stream);
  // Runs once and waits; each layer's name and milliseconds.
  [[nodiscard]] std::vector<std::pair<std::string, float>> profile_layers(void* stream);

 private:
  friend class Engine;
  struct State;
  explicit ExecutionContext(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace tf2trt
