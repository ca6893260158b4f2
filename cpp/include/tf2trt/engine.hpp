// A deserialised engine and its execution contexts.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tf2trt/graph.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/tensor.hpp"

namespace tf2trt {

class ExecutionContext;

// An engine. Copies share it; it may be used from several threads at once.
class Engine {
 public:
  // Reads a plan file and deserialises it with the library that its header asks for; `folders` as in Library::find.
  // Plugin libraries that the plan needs are named, but for tf2trt's own, which is found where it is needed.
  // Throws Error: kEngine (missing, truncated, damaged), kLibraryNotFound (no library reads it), kPlugin, kDevice (no
  // GPU).
  static Engine load(std::string const& path, std::vector<std::string> const& folders = {},
                     std::vector<std::string> const& plugin_libraries = {});
  // Throws Error: kEngine, kEngineVersion (another TensorRT wrote it), kPlugin, kDevice. The bytes are not kept.
  static Engine deserialize(Library const& library, void const* plan, std::size_t size);

  [[nodiscard]] std::string name() const;
  // Inputs and outputs, in the engine's own order.
  [[nodiscard]] std::vector<TensorInfo> const& tensors() const noexcept;
  [[nodiscard]] int profile_count() const;
  [[nodiscard]] int layer_count() const;
  // Bytes that each context needs on the device for activations.
  [[nodiscard]] std::size_t device_memory_size() const;
  // The range of an input's shape in one optimisation profile. Throws Error(kInput) for a name that is no input.
  [[nodiscard]] ShapeRange profile_shape(std::string const& name, int profile) const;
  // The engine inspector's JSON: layers with their tactics, formats and types. TensorRT tells the types of a dynamic
  // engine only for given shapes: those are the most usual ones of profile 0, for which a context is made meanwhile.
  [[nodiscard]] std::string information() const;
  // Allocates device memory. Throws Error(kDevice) where it is not there.
  [[nodiscard]] ExecutionContext create_context() const;

  struct State;

 private:
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
  // Device memory; for shape tensors, host memory. The memory must outlive the work that uses it.
  void set_tensor_address(std::string const& name, void* address);
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
