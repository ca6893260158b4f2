// TensorRT's IExprBuilder and IDimensionExpr as they are inside, {vptr, mImpl}, with implementations that note what is
// asked of them.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <type_traits>

#include "NvInfer.h"
#include "count.hpp"
#include "sdk/expr_builder.hpp"

namespace drive {

using nvinfer1::DimensionOperation;
using nvinfer1::DimsExprs;
using nvinfer1::IDimensionExpr;
using Extent = std::conditional_t<NV_TENSORRT_MAJOR == 8, std::int32_t, std::int64_t>;

class Expression : public IDimensionExpr {
 public:
  explicit Expression(std::string text) : text_(std::move(text)) { mImpl = &impl_; }
  [[nodiscard]] std::string const& text() const { return text_; }

 private:
  // `override` is left out where 8 has no such function.
  struct Impl : nvinfer1::apiv::VDimensionExpr {
    bool isConstant() const noexcept override { return false; }
    Extent getConstantValue() const noexcept override { return 0; }
    virtual bool isSizeTensor() const noexcept { return false; }
  };
  std::string text_;
  Impl impl_;
};

class Expressions : public nvinfer1::IExprBuilder {
 public:
  Expressions() : impl_(this) { mImpl = &impl_; }
  IDimensionExpr const* make(std::string text) { return &made_.emplace_back(std::move(text)); }
  [[nodiscard]] std::size_t made() const { return made_.size(); }
  static std::string text(void const* expression) {
    return static_cast<Expression const*>(static_cast<IDimensionExpr const*>(expression))->text();
  }

 private:
  struct Impl : nvinfer1::apiv::VExprBuilder {
    explicit Impl(Expressions* expressions) : owner(expressions) {}
    IDimensionExpr const* constant(Extent value) noexcept override { return owner->make(std::to_string(value)); }
    IDimensionExpr const* operation(DimensionOperation what, IDimensionExpr const& a,
                                    IDimensionExpr const& b) noexcept override {
      return owner->make(symbol(what) + "(" + Expressions::text(&a) + ", " + Expressions::text(&b) + ")");
    }
    virtual IDimensionExpr const* declareSizeTensor(std::int32_t, IDimensionExpr const&,
                                                    IDimensionExpr const&) noexcept {
      return nullptr;
    }
    static std::string symbol(DimensionOperation what) {
      switch (what) {
        case DimensionOperation::kSUM:
          return "sum";
        case DimensionOperation::kSUB:
          return "sub";
        case DimensionOperation::kPROD:
          return "prod";
        case DimensionOperation::kMAX:
          return "max";
        case DimensionOperation::kMIN:
          return "min";
        case DimensionOperation::kFLOOR_DIV:
          return "floor_div";
        case DimensionOperation::kCEIL_DIV:
          return "ceil_div";
        default:
          return "operation " + std::to_string(static_cast<int>(what));
      }
    }
    Expressions* owner;
  };
  std::list<Expression> made_;
  Impl impl_;
};

// Four extents by name.
inline DimsExprs four_extents(Expressions& builder) {
  DimsExprs dims{};
  for (char const* name : {"n", "c", "h", "w"}) dims.d[dims.nbDims++] = builder.make(name);
  return dims;
}

inline std::string text(DimsExprs const& dims) {
  std::string all = std::to_string(dims.nbDims);
  for (std::int32_t i = 0; i < dims.nbDims; ++i) all += " " + Expressions::text(dims.d[i]);
  return all;
}

// The other direction, the sdk's own calls: the operators above do no arithmetic on extents.
inline void drive_expressions() {
  namespace sdk = tf2trt::plugins;
  Count count("IExprBuilder");
  Expressions builder;
  constexpr bool is_8 = NV_TENSORRT_MAJOR == 8;  // the tables that plugin_v2.cpp and plugin_v3.cpp take
  tf2trt::abi::Api const api(is_8 ? 8 : 10, is_8 ? tf2trt::abi::Version{8, 5, 0} : tf2trt::abi::Version{10, 0, 0});
  sdk::ExprBuilder const ours(api, static_cast<nvinfer1::IExprBuilder*>(&builder));
  sdk::Extent const a(builder.make("a"), &ours);
  sdk::Extent const b(builder.make("b"), &ours);
  auto const same = [&](char const* what, sdk::Extent const& got) {
    count.same(what, Expressions::text(got.expression()), what);
  };
  same("sum(a, b)", a + b);
  same("sub(a, b)", a - b);
  same("prod(a, b)", a * b);
  same("floor_div(a, b)", a / b);
  same("ceil_div(a, b)", ceil_div(a, b));
  same("max(a, b)", max(a, b));
  same("min(a, b)", min(a, b));
  same("sum(prod(a, 7), b)", a * a.constant(7) + b);
  same("-2147483648", a.constant(INT32_MIN));
}

}  // namespace drive
