// What a tensor is: its name, type and shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tf2trt {

using Shape = std::vector<std::int64_t>;  // -1 where the extent is dynamic

enum class DType { kFloat32, kFloat16, kInt8, kInt32, kBool, kUint8, kFloat8, kBfloat16, kInt64, kInt4, kOther };

// NumPy's name ("float32"), or "bfloat16", "float8", "int4", which NumPy lacks.
char const* name_of(DType dtype) noexcept;
// Bytes for `count` elements; int4 packs two in a byte.
std::size_t bytes_of(DType dtype, std::size_t count);
// "1x?x224", or "scalar".
std::string to_string(Shape const& shape);
// The number of elements. Throws Error(kUsage) where an extent is dynamic, or there are too many.
std::size_t element_count(Shape const& shape);

struct TensorInfo {
  std::string name;
  DType dtype = DType::kOther;
  Shape shape;
  bool is_input = false;
  bool is_shape = false;  // a shape tensor: its values decide shapes, or are made of them
  bool on_host = false;   // of an engine: its address is in host memory
};

// Whether an extent is not known beforehand.
bool is_dynamic(TensorInfo const& tensor) noexcept;

// The smallest, the most usual and the largest shape of one input; for a shape tensor, its values, element by element.
struct ShapeRange {
  Shape min;
  Shape opt;
  Shape max;
};

}  // namespace tf2trt
