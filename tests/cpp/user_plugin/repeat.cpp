// A plugin library as a user writes one: the operator Repeat, which repeats the last axis as a whole,
//   y[..., j * n + i] = x[..., i]    for j in 0 ... times - 1, n being the last extent of x.
// Its work is a strided copy, so it has no kernel; CUDA's driver, which is there wherever TensorRT runs, does it.
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "sdk/operator.hpp"

namespace my {
namespace {

namespace sdk = tf2trt::plugins;

// CUDA_MEMCPY2D, as cuda.h has it.
struct CopySide {
  std::size_t x_in_bytes;
  std::size_t y;
  std::int32_t memory_type;  // 2: on the device
  void* host;
  std::uintptr_t device;
  void* array;
  std::size_t pitch;
};
struct Copy {
  CopySide from;
  CopySide to;
  std::size_t width_in_bytes;
  std::size_t height;
};
constexpr std::int32_t kOnDevice = 2;

// cuMemcpy2DAsync.
using CopyAsync = int (*)(Copy const*, void* stream);

CopyAsync copy_async() {
  static auto const function = [] {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how dlsym gives functions
    return reinterpret_cast<CopyAsync>(driver == nullptr ? nullptr : dlsym(driver, "cuMemcpy2DAsync_v2"));
  }();
  if (function == nullptr) throw std::runtime_error("there is no CUDA driver (libcuda.so.1)");
  return function;
}

class Repeat final : public sdk::OperatorOf<Repeat> {
 public:
  static constexpr char const* kName = "Repeat";
  static constexpr char const* kVersion = "1";
  static constexpr char const* kNamespace = "my.plugins";

  [[nodiscard]] sdk::Attributes attributes() override { return {{"times", &times_}}; }

  void check() const override {
    if (times_ < 1) throw std::invalid_argument("times: received " + std::to_string(times_) + ", expected 1 or more");
  }

  [[nodiscard]] sdk::SymbolicShape output_shape(int /*output*/,
                                                std::vector<sdk::SymbolicShape> const& inputs) const override {
    sdk::SymbolicShape shape = inputs.front();
    if (shape.empty()) throw std::invalid_argument("a scalar has no axis to repeat");
    shape.back() = shape.back() * shape.back().constant(times_);
    return shape;
  }

  [[nodiscard]] bool supports(int position, std::vector<sdk::Tensor> const& tensors) const override {
    sdk::Tensor const& tensor = tensors[static_cast<std::size_t>(position)];
    if (tensor.format != sdk::Format::kLinear || tensor.type != tensors[0].type) return false;
    return tensor.type == sdk::DataType::kFloat32 || tensor.type == sdk::DataType::kFloat16;
  }

  int enqueue(sdk::Tensor const* tensors, void const* const* inputs, void* const* outputs, void* /*workspace*/,
              void* stream) const override {
    sdk::Tensor const& x = tensors[0];
    auto const last = static_cast<std::size_t>(x.dims[static_cast<std::size_t>(x.rank) - 1]);
    std::size_t const row = last * (x.type == sdk::DataType::kFloat32 ? 4 : 2);
    if (row == 0) return 0;
    std::size_t const rows = static_cast<std::size_t>(sdk::stored_elements(x)) / last;
    if (rows == 0) return 0;
    auto const times = static_cast<std::size_t>(times_);
    Copy copy{side(inputs[0], row), side(outputs[0], row * times), row, rows};
    for (std::size_t j = 0; j < times; ++j) {
      copy.to.x_in_bytes = j * row;
      if (int const error = copy_async()(&copy, stream); error != 0) return error;
    }
    return 0;
  }

 private:
  static CopySide side(void const* data, std::size_t pitch) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the driver counts in addresses
    return {0, 0, kOnDevice, nullptr, reinterpret_cast<std::uintptr_t>(data), nullptr, pitch};
  }

  std::int32_t times_ = 2;
};

}  // namespace

TF2TRT_OPERATOR(Repeat)

}  // namespace my
