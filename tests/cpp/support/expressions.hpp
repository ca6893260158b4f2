// TensorRT's IExprBuilder: expressions are their own text here.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sdk/layout.hpp"
#include "support/mock.hpp"

namespace tf2trt::test {

// VExprBuilder: constant at 2, which takes 32 bits in TensorRT 8 and 64 from 10 on, operation at 3.
template <class Int>
class ExpressionTable : public Root {
 public:
  virtual void const* constant(Int value) { return value < 0 ? nullptr : make(std::to_string(value)); }
  virtual void const* operation(std::int32_t which, void const* a, void const* b) {
    if (refuses_operations) return nullptr;
    return make("(" + text_of(a) + " " + kNames.at(static_cast<std::size_t>(which)) + " " + text_of(b) + ")");
  }
  static std::string text_of(void const* expression) { return *static_cast<std::string const*>(expression); }

  bool refuses_operations = false;

 protected:
  void const* make(std::string const& text) { return &made_.emplace_back(text); }

 private:
  // nvinfer1::DimensionOperation.
  inline static std::vector<std::string> const kNames = {"+", "*", "max", "min", "-", "==", "<", "//", "ceil"};
  std::deque<std::string> made_;
};

template <class Int>
class Expressions : public ExpressionTable<Int> {
 public:
  Expressions() : builder_(static_cast<ExpressionTable<Int>*>(this)) {}
  [[nodiscard]] void* builder() { return unseen(&builder_); }

  plugins::DimsExprs shape(std::vector<std::string> const& extents) {
    plugins::DimsExprs dims{static_cast<std::int32_t>(extents.size()), {}};
    for (std::size_t i = 0; i < extents.size(); ++i) dims.extents.at(i) = this->make(extents[i]);
    return dims;
  }
  static std::vector<std::string> text_of(plugins::DimsExprs const& dims) {
    std::vector<std::string> texts;
    texts.reserve(dims.extents.size());
    for (std::int32_t i = 0; i < dims.count; ++i) {
      texts.push_back(ExpressionTable<Int>::text_of(dims.extents.at(static_cast<std::size_t>(i))));
    }
    return texts;
  }

 private:
  Object builder_;
};

}  // namespace tf2trt::test
