// Output shapes as formulas over the input shapes: an engine's shapes are not known while it is built.
#pragma once

#include <cstdint>
#include <vector>

namespace tf2trt::plugins {

class ExprBuilder;

// One extent, known or not. Copies refer to TensorRT's own object, which lives as long as the call that gave it.
class Extent {
 public:
  Extent(void const* expression, ExprBuilder const* builder) noexcept : expression_(expression), builder_(builder) {}
  [[nodiscard]] void const* expression() const noexcept { return expression_; }

  friend Extent operator+(Extent const& a, Extent const& b);
  friend Extent operator-(Extent const& a, Extent const& b);
  friend Extent operator*(Extent const& a, Extent const& b);
  friend Extent operator/(Extent const& a, Extent const& b);  // rounded down
  friend Extent ceil_div(Extent const& a, Extent const& b);
  friend Extent max(Extent const& a, Extent const& b);
  friend Extent min(Extent const& a, Extent const& b);

  // The number as an extent, for arithmetic with this one.
  [[nodiscard]] Extent constant(std::int64_t value) const;

 private:
  void const* expression_;
  ExprBuilder const* builder_;
};

using SymbolicShape = std::vector<Extent>;

}  // namespace tf2trt::plugins
