// What an engine and its contexts hold.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "abi/object.hpp"
#include "library_state.hpp"
#include "profile.hpp"
#include "tf2trt/engine.hpp"

namespace tf2trt {

// The order of the members is the order of creation; destruction runs backwards, the engine before its runtime.
struct Engine::State {
  Library library;
  abi::Owned runtime;
  abi::Owned engine;
  std::vector<TensorInfo> tensors;

  [[nodiscard]] abi::Api const& api() const { return library.state().api; }
  [[nodiscard]] void* get() const { return engine.get(); }
  // Throws Error(kInput), naming the inputs that there are.
  void require_input(std::string const& name) const;
};

struct ExecutionContext::State {
  std::shared_ptr<Engine::State> engine;
  std::unique_ptr<detail::LayerTimes> times;  // once layers were profiled; the context points to it, so it goes last
  abi::Owned context;

  [[nodiscard]] abi::Api const& api() const { return engine->api(); }
  [[nodiscard]] void* get() const { return context.get(); }
};

}  // namespace tf2trt
