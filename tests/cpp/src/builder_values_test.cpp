// Shape tensors: inputs whose values decide shapes, and of which a profile holds the values.
#include <gtest/gtest.h>

#include "support/errors.hpp"
#include "support/rtx.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt {
namespace {

using test::throws;

constexpr int kInt64 = 7;  // of onnx.proto

class BuilderValuesTest : public test::RtxTest {
 protected:
  // y = Relu(Reshape(x, s)), where x has 2 x 6 elements.
  std::string reshape() {
    test::GraphText graph;
    graph.nodes = {{"Reshape", "reshape", {"x", "s"}, {"z"}, "", {}}, {"Relu", "relu", {"z"}, {"y"}, "", {}}};
    graph.inputs = {test::onnx_value("x", {"2", "6"}), test::onnx_value("s", {"2"}, kInt64)};
    graph.outputs = {test::onnx_value("y", {"a", "b"})};
    return write(test::onnx_model(graph));
  }
  static BuilderOptions with_values(Shape const& min, Shape const& opt, Shape const& max) {
    BuilderOptions options;
    options.profiles = {{{"s", {min, opt, max}}}};
    return options;
  }
  testing::AssertionResult refuses(BuilderOptions const& options, std::vector<std::string> const& words) {
    std::string const path = reshape();
    return throws(ErrorKind::kUsage, words, [&] { build(library(), path, options); });
  }
};

TEST_F(BuilderValuesTest, AProfileHoldsTheValues) {
  BuildResult const result = build(library(), reshape(), with_values({1, 1}, {2, 6}, {12, 12}));
  EXPECT_GT(result.size(), 28U);
  ASSERT_EQ(result.inputs.size(), 2U);
  EXPECT_FALSE(result.inputs[0].is_shape);
  EXPECT_TRUE(result.inputs[1].is_shape);
  EXPECT_EQ(result.inputs[1].shape, (Shape{2}));
  EXPECT_EQ(result.outputs[0].shape, (Shape{-1, -1}));
}

TEST_F(BuilderValuesTest, SeveralProfiles) {
  BuilderOptions options = with_values({1, 1}, {2, 6}, {12, 12});
  options.profiles.push_back({{"s", {{3, 4}, {3, 4}, {3, 4}}}});
  EXPECT_GT(build(library(), reshape(), options).size(), 28U);
}

TEST_F(BuilderValuesTest, ValuesMayBeNegative) {
  EXPECT_GT(build(library(), reshape(), with_values({-1, 1}, {-1, 6}, {-1, 12})).size(), 28U);
}

TEST_F(BuilderValuesTest, AScalarHasOneValue) {
  test::GraphText graph;
  graph.nodes = {{"Range", "range", {"start", "limit", "step"}, {"y"}, "", {}}};
  for (char const* name : {"start", "limit", "step"}) graph.inputs.push_back(test::onnx_value(name, {}, kInt64));
  graph.outputs = {test::onnx_value("y", {"n"}, kInt64)};
  BuilderOptions options;
  options.profiles = {{{"start", {{0}, {0}, {0}}}, {"limit", {{1}, {8}, {64}}}, {"step", {{1}, {1}, {1}}}}};
  BuildResult const result = build(library(), write(test::onnx_model(graph)), options);
  EXPECT_GT(result.size(), 28U);
  ASSERT_EQ(result.inputs.size(), 3U);
  for (auto const& input : result.inputs) {
    EXPECT_TRUE(input.is_shape) << input.name;
    EXPECT_EQ(input.shape, Shape{}) << input.name;
  }
}

TEST_F(BuilderValuesTest, WithoutValues) {
  std::vector<std::string> const words = {"\"s\" is a shape tensor and no values are given for it",
                                          "--min-shapes s:... --opt-shapes s:... --max-shapes s:..."};
  EXPECT_TRUE(refuses({}, words));
  BuilderOptions options = with_values({1, 1}, {2, 6}, {12, 12});
  options.profiles.emplace_back();
  EXPECT_TRUE(refuses(options, words));
}

TEST_F(BuilderValuesTest, AnotherNumberOfValues) {
  EXPECT_TRUE(refuses(with_values({1, 1}, {2, 6, 1}, {12, 12}), {"\"s\" is a shape tensor", "2x6x1", "2 values"}));
  EXPECT_TRUE(refuses(with_values({2}, {2}, {2}), {"\"s\" is a shape tensor", "received: 2\n", "2 values"}));
}

// TensorRT's own words: it has the values, then.
TEST_F(BuilderValuesTest, MinOptMaxOutOfOrder) {
  EXPECT_TRUE(refuses(with_values({12, 1}, {2, 6}, {1, 12}), {"shapes: TensorRT refuses"}));
  EXPECT_TRUE(refuses(with_values({1, 1}, {2, 24}, {12, 12}), {"shapes: TensorRT refuses"}));
}

}  // namespace
}  // namespace tf2trt
