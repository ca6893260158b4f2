// What an engine and its contexts hold.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/object.hpp"
#include "library_state.hpp"
#include "output_allocator.hpp"
#include "profile.hpp"
#include "tf2trt/engine.hpp"

namespace tf2trt {

// The order of the members is the order of creation; destruction runs backwards, the engine before its runtime.
struct Engine::State {
  Library library;
  abi::Owned runtime;
  abi::Owned engine;
  std::vector<TensorInfo> tensors;
  void* cuda_context = nullptr;

  [[nodiscard]] abi::Api const& api() const { return library.state().api; }
  [[nodiscard]] void* get() const { return engine.get(); }
  [[nodiscard]] void* in_context() const noexcept { return cuda_context; }
  // Throws Error(kInput), naming the inputs that there are.
  void require_input(std::string const& name) const;
  // The same of outputs.
  void require_output(std::string const& name) const;
  // The values of a shape tensor in one profile; none where TensorRT does not tell them.
  [[nodiscard]] Shape profile_values(TensorInfo const& input, int profile, abi::Value select) const;
};

struct ExecutionContext::State {
  std::shared_ptr<Engine::State> engine;
  // What the context points to goes after it.
  std::unique_ptr<detail::LayerTimes> times;                              // once layers were profiled
  std::map<std::string, std::unique_ptr<detail::OutputAdapter>> outputs;  // nullptr where an allocator was taken away
  abi::Owned context;

  [[nodiscard]] void* in_context() const noexcept { return engine->cuda_context; }
  [[nodiscard]] abi::Api const& api() const { return engine->api(); }
  [[nodiscard]] void* get() const { return context.get(); }
  // Throws what an output's allocator threw while TensorRT called it.
  void rethrow_output_errors();
};

}  // namespace tf2trt
