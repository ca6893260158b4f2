#include "tf2trt/tensor.hpp"

#include <algorithm>
#include <limits>

#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

// At eight bytes each they still fit an address.
constexpr std::size_t kMostElements = std::numeric_limits<std::size_t>::max() / 16;

}  // namespace

char const* name_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kInt8:
      return "int8";
    case DType::kInt32:
      return "int32";
    case DType::kBool:
      return "bool";
    case DType::kUint8:
      return "uint8";
    case DType::kFloat8:
      return "float8";
    case DType::kBfloat16:
      return "bfloat16";
    case DType::kInt64:
      return "int64";
    case DType::kInt4:
      return "int4";
    case DType::kOther:
      break;
  }
  return "other";
}

std::size_t bytes_of(DType dtype, std::size_t count) {
  switch (dtype) {
    case DType::kInt64:
      return count * 8;
    case DType::kFloat32:
    case DType::kInt32:
      return count * 4;
    case DType::kFloat16:
    case DType::kBfloat16:
      return count * 2;
    case DType::kInt8:
    case DType::kBool:
    case DType::kUint8:
    case DType::kFloat8:
      return count;
    case DType::kInt4:
      return (count + 1) / 2;
    case DType::kOther:
      break;
  }
  throw Error(ErrorKind::kUsage, "a tensor of this type has no known size");
}

bool is_dynamic(TensorInfo const& tensor) noexcept {
  return std::any_of(tensor.shape.begin(), tensor.shape.end(), [](auto extent) { return extent < 0; });
}

std::string to_string(Shape const& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (auto const extent : shape) {
    if (!text.empty()) text += 'x';
    text += extent < 0 ? "?" : std::to_string(extent);
  }
  return text;
}

std::size_t element_count(Shape const& shape) {
  std::size_t count = 1;
  for (auto const extent : shape) {
    if (extent < 0) {
      throw Error(ErrorKind::kUsage, "shape: an extent is dynamic", {to_string(shape), "a shape without ?", ""});
    }
    auto const factor = static_cast<std::size_t>(extent);
    if (factor != 0 && count > kMostElements / factor) {
      throw Error(ErrorKind::kUsage, "shape: more elements than any memory holds", {to_string(shape), "", ""});
    }
    count *= factor;
  }
  return count;
}

}  // namespace tf2trt
