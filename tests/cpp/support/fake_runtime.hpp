// The objects of the fake TensorRT runtime, between its tables (fake_runtime.cpp) and what contexts do
// (fake_context.cpp). FAKE_NUMBER is what it says its version is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "abi/types.hpp"
#include "support/fake_cuda.hpp"
#include "support/fake_models.hpp"

namespace fake_tensorrt {

constexpr int kGeneration = FAKE_NUMBER < 10000 ? 8 : FAKE_NUMBER / 10000;
using Dims = std::conditional_t<kGeneration == 8, tf2trt::abi::Dims32, tf2trt::abi::Dims64>;

// The driver, which must be the fake one.
struct Cuda {
  int (*current)(void**);
  int (*push)(void*);
  int (*pop)(void**);
  int (*alloc)(unsigned long long*, std::size_t);
  int (*free)(unsigned long long);
  int (*synchronize)(void*);
  int (*is_capturing)(void*, int*);
  int (*attribute)(void*, int, unsigned long long);
  decltype(&fake_cuda_enqueue) enqueue;
  decltype(&fake_cuda_storage) storage;
  decltype(&fake_cuda_is_primary) is_primary;
  decltype(&fake_cuda_violation) violation;
};
Cuda const& cuda();

// Makes a CUDA context current while it lives, unless another one is.
class Current {
 public:
  explicit Current(void* context) {
    void* now = nullptr;
    cuda().current(&now);
    pushed_ = now == nullptr && context != nullptr && cuda().push(context) == 0;
  }
  ~Current() {
    void* popped = nullptr;
    if (pushed_) cuda().pop(&popped);
  }
  Current(Current const&) = delete;
  Current& operator=(Current const&) = delete;

 private:
  bool pushed_;
};

// An API object as TensorRT's are: {table, implementation}, and the implementation has a table of its own.
struct Object {
  void* const* table;
  void* implementation;
};

struct Runtime {
  void* const* table;
  void* logger;
  int engines = 0;

  // Logs an error; false, for the caller to return.
  // NOLINTNEXTLINE(modernize-use-nodiscard): not every caller does
  bool error(std::string const& text) const;
};

struct Context;

struct Engine {
  void* const* table;
  Runtime* runtime;
  Model model;
  void* cuda_context = nullptr;    // that it was deserialised in
  std::vector<Context*> contexts;  // that live

  // Whether the calling thread has the CUDA context that the engine belongs to, or none where that is the primary one:
  // CUDA's runtime would take it. Logs and counts it where not.
  [[nodiscard]] bool is_current(char const* what) const;
  [[nodiscard]] bool profile_in_use(int profile) const;
};

struct Context {
  void* const* table;
  Engine* engine;
  int profile = -1;
  unsigned long long scratch = 0;
  std::size_t scratch_size = 0;
  bool owns_scratch = true;
  void* profiler = nullptr;
  bool emits = true;
  bool unreported = false;
  std::map<std::string, Shape> shapes;  // of the dynamic inputs that were told
  std::map<std::string, void*> addresses;
  std::map<std::string, void*> allocators;

  [[nodiscard]] bool error(std::string const& text) const { return engine->runtime->error(text); }
  // Null where it is not known yet.
  [[nodiscard]] std::int32_t const* values() const;
  [[nodiscard]] Shape shape(Tensor const& tensor) const;
  // The inputs whose shapes or values are missing.
  [[nodiscard]] std::vector<char const*> missing() const;
  bool set_profile(int index, void* stream);
  bool set_shape(char const* name, Shape const& shape);
  bool set_address(char const* name, void* address);
  void set_memory(void* memory, std::size_t size);
  bool enqueue(void* stream);
  void report();

 private:
  bool can_run();
  // Asks the output's allocator for memory and tells it the shape; 0 where it refuses.
  unsigned long long allocate(Tensor const& output, Shape const& shape, void* stream);
  // How many elements of x are not 0, once what fills it has run; -1 where that cannot be waited for.
  std::int64_t count_nonzero(void* stream);
};

struct Inspector {
  void* const* table;
};

inline Dims to_dims(Shape const& shape) {
  Dims dims{};
  dims.count = static_cast<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dims.extents[i] = static_cast<decltype(dims.extents)::value_type>(shape[i]);
  }
  return dims;
}

}  // namespace fake_tensorrt
