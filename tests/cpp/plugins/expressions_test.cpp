#include "support/expressions.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "sdk/expr_builder.hpp"
#include "support/apis.hpp"

namespace tf2trt::plugins {
namespace {

using test::api10;
using test::api11;
using test::api8;
using Wide = test::Expressions<std::int64_t>;
using Narrow = test::Expressions<std::int32_t>;

TEST(Expressions, ConstantsHave64BitsFrom10On) {
  for (abi::Api const& api : {api10(), api11()}) {
    Wide expressions;
    ExprBuilder const builder(api, expressions.builder());
    EXPECT_EQ(Wide::ExpressionTable::text_of(builder.constant(1'099'511'627'776).expression()), "1099511627776");
  }
  Narrow expressions;
  abi::Api const old = api8();
  ExprBuilder const builder(old, expressions.builder());
  EXPECT_EQ(Narrow::ExpressionTable::text_of(builder.constant(2147483647).expression()), "2147483647");
}

// TensorRT 8 has no room for them: another number in their place would be a wrong shape.
TEST(Expressions, ConstantsThatDoNotFitAreRefused) {
  Narrow expressions;
  abi::Api const api = api8();
  ExprBuilder const builder(api, expressions.builder());
  EXPECT_THROW((void)builder.constant(4'294'967'297), std::exception);
}

TEST(Expressions, WhatTensorRTRefusesIsThrown) {
  Wide expressions;
  abi::Api const api = api11();
  ExprBuilder const builder(api, expressions.builder());
  EXPECT_THROW((void)builder.constant(-1), std::runtime_error);
  Extent const two = builder.constant(2);
  expressions.refuses_operations = true;
  EXPECT_THROW((void)(two + two), std::runtime_error);
}

TEST(Expressions, FormulasNest) {
  for (abi::Api const& api : {api8(), api10(), api11()}) {
    Narrow narrow;
    Wide wide;
    ExprBuilder const builder(api, api.generation() == 8 ? narrow.builder() : wide.builder());
    Extent const three = builder.constant(3);
    Extent const formula = max(ceil_div(three * three - three, three.constant(2)), three);
    EXPECT_EQ(Wide::ExpressionTable::text_of(formula.expression()), "((((3 * 3) - 3) ceil 2) max 3)");
  }
}

TEST(Expressions, ShapesBecomeExtentsAndBack) {
  Wide expressions;
  abi::Api const api = api10();
  ExprBuilder const builder(api, expressions.builder());
  auto const shape = builder.shape(expressions.shape({"a", "b", "c"}));
  ASSERT_EQ(shape.size(), 3U);
  EXPECT_EQ(Wide::text_of(ExprBuilder::dims(shape)), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(builder.shape({-1, {}}).empty());
  EXPECT_EQ(ExprBuilder::dims({}).count, 0);
}

TEST(Expressions, NineDimensionsAreTooMany) {
  Wide expressions;
  abi::Api const api = api10();
  ExprBuilder const builder(api, expressions.builder());
  SymbolicShape shape(8, builder.constant(1));
  EXPECT_EQ(ExprBuilder::dims(shape).count, 8);
  shape.push_back(shape.front());
  EXPECT_THROW((void)ExprBuilder::dims(shape), std::invalid_argument);
}

}  // namespace
}  // namespace tf2trt::plugins
