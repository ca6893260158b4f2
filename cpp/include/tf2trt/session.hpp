// The whole of running an engine in one object: memory, stream, copies.
#pragma once

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

// Runs an engine on host arrays, one call at a time. Buffers are kept from call to call and grow when needed.
class Session {
 public:
  explicit Session(Engine const& engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  Session(Session const&) = delete;
  Session& operator=(Session const&) = delete;

  // Copies in, runs, copies out, waits. Throws Error(kInput), before any work, for a missing or unknown name, another
  // dtype, or a shape or byte count that does not fit.
  std::map<std::string, HostTensor> run(std::map<std::string, HostTensor> const& inputs);
  // Milliseconds of the last run that the GPU spent between its first and its last kernel.
  [[nodiscard]] float gpu_milliseconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tf2trt
