// LeakyReLU for TensorRT.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "leaky_relu/kernel.hpp"
#include "sdk/operator.hpp"

namespace tf2trt::plugins {
namespace {

// The layouts that TensorRT's convolutions use, so that none has to be converted around the plugin.
struct Accepted {
  DataType type;
  Format format;
};
constexpr Accepted kAccepted[] = {
    {DataType::kFloat32, Format::kLinear}, {DataType::kFloat32, Format::kChw32},
    {DataType::kFloat16, Format::kLinear}, {DataType::kFloat16, Format::kChw2},
    {DataType::kFloat16, Format::kHwc8},   {DataType::kFloat16, Format::kChw16},
    {DataType::kFloat16, Format::kChw32},  {DataType::kBfloat16, Format::kLinear},
    {DataType::kInt8, Format::kLinear},    {DataType::kInt8, Format::kChw4},
    {DataType::kInt8, Format::kChw32},
};

class LeakyRelu final : public OperatorOf<LeakyRelu> {
 public:
  static constexpr char const* kName = "LeakyReLU";
  static constexpr char const* kVersion = "1";
  static constexpr char const* kNamespace = "tf2trt";

  [[nodiscard]] Attributes attributes() override { return {{"alpha", &alpha_}}; }

  void check() const override {
    if (!std::isfinite(alpha_)) throw std::invalid_argument("alpha: expected a finite number");
  }

  // Element by element, so any layout will do as long as both have the same.
  [[nodiscard]] bool supports(int position, std::vector<Tensor> const& tensors) const override {
    Tensor const& tensor = tensors[static_cast<std::size_t>(position)];
    if (position > 0) return tensor.type == tensors[0].type && tensor.format == tensors[0].format;
    return std::any_of(std::begin(kAccepted), std::end(kAccepted),
                       [&](Accepted const& one) { return one.type == tensor.type && one.format == tensor.format; });
  }

  int enqueue(Tensor const* tensors, void const* const* inputs, void* const* outputs, void* /*workspace*/,
              void* stream) const override {
    return leaky_relu(inputs[0], outputs[0], tensors[0].type, stored_elements(tensors[0]), alpha_,
                      {tensors[0].scale, tensors[1].scale}, static_cast<cudaStream_t>(stream));
  }

 private:
  float alpha_ = 0.01F;  // ONNX's default
};

}  // namespace

TF2TRT_OPERATOR(LeakyRelu)

}  // namespace tf2trt::plugins
