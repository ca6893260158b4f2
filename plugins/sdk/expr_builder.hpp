// TensorRT's IExprBuilder, for the adapters.
#pragma once

#include "abi/slots.hpp"
#include "sdk/extent.hpp"
#include "sdk/layout.hpp"

namespace tf2trt::plugins {

class ExprBuilder {
 public:
  ExprBuilder(abi::Api const& api, void* builder) noexcept : api_(&api), builder_(builder) {}

  [[nodiscard]] Extent constant(std::int64_t value) const;
  // Throws std::runtime_error where TensorRT refuses.
  [[nodiscard]] Extent operation(abi::Value operation, Extent const& a, Extent const& b) const;

  // Throws std::invalid_argument for more extents than TensorRT has.
  [[nodiscard]] SymbolicShape shape(DimsExprs const& dims) const;
  [[nodiscard]] static DimsExprs dims(SymbolicShape const& shape);

 private:
  abi::Api const* api_;
  void* builder_;
};

}  // namespace tf2trt::plugins
