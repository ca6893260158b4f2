#include "sdk/expr_builder.hpp"

#include <stdexcept>
#include <string>

#include "abi/call.hpp"

namespace tf2trt::plugins {

using abi::Method;
using abi::Value;

Extent ExprBuilder::constant(std::int64_t value) const {
  if (api_->generation() == 8 && value != static_cast<std::int32_t>(value)) {
    throw std::invalid_argument("the extent " + std::to_string(value) + " does not fit TensorRT 8's 32 bits");
  }
  void const* made =
      api_->generation() == 8
          ? abi::call_as<void const*(std::int32_t)>(*api_, Method::VExprBuilder_constant, builder_,
                                                    static_cast<std::int32_t>(value))
          : abi::call_as<void const*(std::int64_t)>(*api_, Method::VExprBuilder_constant, builder_, value);
  if (made == nullptr) throw std::runtime_error("TensorRT refuses the extent " + std::to_string(value));
  return {made, this};
}

Extent ExprBuilder::operation(Value operation, Extent const& a, Extent const& b) const {
  void const* made = abi::call<Method::VExprBuilder_operation>(*api_, builder_, api_->value(operation), a.expression(),
                                                               b.expression());
  if (made == nullptr) throw std::runtime_error(std::string("TensorRT refuses ") + abi::name_of(operation));
  return {made, this};
}

SymbolicShape ExprBuilder::shape(DimsExprs const& dims) const {
  SymbolicShape shape;
  for (std::int32_t i = 0; i < dims.count; ++i) shape.emplace_back(dims.extents[static_cast<std::size_t>(i)], this);
  return shape;
}

DimsExprs ExprBuilder::dims(SymbolicShape const& shape) {
  DimsExprs dims{};
  if (shape.size() > dims.extents.size()) {
    throw std::invalid_argument("the output has " + std::to_string(shape.size()) + " dimensions, TensorRT has 8");
  }
  dims.count = static_cast<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.extents[i] = shape[i].expression();
  return dims;
}

Extent Extent::constant(std::int64_t value) const { return builder_->constant(value); }

Extent operator+(Extent const& a, Extent const& b) {
  return a.builder_->operation(Value::DimensionOperation_kSUM, a, b);
}
Extent operator-(Extent const& a, Extent const& b) {
  return a.builder_->operation(Value::DimensionOperation_kSUB, a, b);
}
Extent operator*(Extent const& a, Extent const& b) {
  return a.builder_->operation(Value::DimensionOperation_kPROD, a, b);
}
Extent operator/(Extent const& a, Extent const& b) {
  return a.builder_->operation(Value::DimensionOperation_kFLOOR_DIV, a, b);
}
Extent ceil_div(Extent const& a, Extent const& b) {
  return a.builder_->operation(Value::DimensionOperation_kCEIL_DIV, a, b);
}
Extent max(Extent const& a, Extent const& b) { return a.builder_->operation(Value::DimensionOperation_kMAX, a, b); }
Extent min(Extent const& a, Extent const& b) { return a.builder_->operation(Value::DimensionOperation_kMIN, a, b); }

}  // namespace tf2trt::plugins
