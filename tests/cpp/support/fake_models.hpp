// The engines that the fake TensorRT runtime (fake_runtime.cpp) can read out of a plan, and what they compute.
//
//   double     x float32 (-1,2) -> y = 2 x; two profiles: batch 1 to 4 (usually 4) and 1 to 16 (8)
//   nocapture  the same, but it cannot be queued while its stream is captured
//   broken     the same, but it cannot be queued at all
//   wide       the same with rows of 150,001 instead of 2: an input that is sent ahead of the graph
//   big        the same, but a context needs 1 TiB of device memory
//   static     x float32 (2,3), z int32 (2,3) -> y = x + z float32, w = z int32
//   batch4     x float32 (4,2) -> y = x + 1
//   nonzero    x float32 (4) -> y int32 (1,-1): the places where x is not 0; how many is known only when it has run
//   reshape    x float32 (-1), s int32 (2) on the host -> y float32 (s0,s1) = x
//
// "shared" behind a name: contexts share its profiles. "batch=32" behind a dynamic one: it takes that batch alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fake_tensorrt {

using Shape = std::vector<std::int64_t>;
enum class Type { kFloat, kInt32 };

struct Tensor {
  std::string name;
  Type type;
  Shape shape;  // -1 where it is dynamic
  bool is_input;
  bool is_values = false;  // a shape tensor: its values, on the host, decide shapes
};

// The smallest, the most usual and the largest, in TensorRT's order of selectors.
using Range = std::array<Shape, 3>;

struct Profile {
  std::map<std::string, Range> shapes;
  std::map<std::string, std::array<std::vector<std::int32_t>, 3>> values;
};

struct Model {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<Profile> profiles = std::vector<Profile>(1);  // TensorRT says "at least 1"; empty: nothing is dynamic
  std::size_t device_memory = 4096;
  bool can_be_captured = true;
  bool is_broken = false;
  bool shares_profiles = false;  // the plan says "shared": as with the preview feature of 8.6

  [[nodiscard]] Tensor const* find(std::string const& tensor) const;
  [[nodiscard]] bool is_dynamic() const;
};

// The engine that a plan's text names, such as "double shared"; nothing where it names none.
std::optional<Model> find_model(std::string const& text);

// An output's shape for the shapes and values of the inputs as far as they are known; -1 where it is not.
Shape output_shape(Model const& model, Tensor const& output, std::map<std::string, Shape> const& inputs,
                   std::int32_t const* values);

// What one run works on: where each tensor lies, and how many elements it has.
struct Operand {
  unsigned long long address;
  std::size_t count;
};
struct Launch {
  std::string model;
  std::map<std::string, Operand> operands;
};
// Computes the outputs. `storage` gives the bytes at a device address, nullptr where there are none.
void compute(Launch const& launch, void* (*storage)(unsigned long long, std::size_t));

}  // namespace fake_tensorrt
