#include <gtest/gtest.h>

#include "support/errors.hpp"
#include "support/rtx.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt {
namespace {

using test::throws;

class BuilderErrorTest : public test::RtxTest {
 protected:
  testing::AssertionResult refuses(BuilderOptions const& options, std::vector<std::string> const& words) {
    std::string const path = small();
    return throws(ErrorKind::kUsage, words, [&] { build(library(), path, options); });
  }
};

TEST_F(BuilderErrorTest, ADynamicInputNeedsAProfile) {
  EXPECT_TRUE(refuses({}, {"\"x\" is dynamic", "?x4", "--min-shapes x:... --opt-shapes x:... --max-shapes x:..."}));
  BuilderOptions options = usual();
  options.profiles.emplace_back();
  EXPECT_TRUE(refuses(options, {"\"x\" is dynamic"}));
}

TEST_F(BuilderErrorTest, UnknownNameInAProfile) {
  BuilderOptions options = usual();
  options.profiles[0]["images"] = {{1}, {1}, {1}};
  EXPECT_TRUE(refuses(options, {"no input of this name", "images", "x ?x4"}));
}

TEST_F(BuilderErrorTest, AnotherRank) {
  EXPECT_TRUE(refuses(with_shapes({1, 4, 1}, {4, 4, 1}, {16, 4, 1}), {"\"x\"", "1x4x1", "?x4"}));
  EXPECT_TRUE(refuses(with_shapes({1, 4}, {4, 4}, {}), {"\"x\"", "scalar", "?x4"}));
  EXPECT_TRUE(refuses(with_shapes({1, 4}, Shape(9, 1), {16, 4}), {"\"x\"", "1x1x1x1x1x1x1x1x1"}));
}

TEST_F(BuilderErrorTest, AnotherExtentThanTheModels) {
  EXPECT_TRUE(refuses(with_shapes({1, 4}, {4, 5}, {16, 4}), {"\"x\"", "4x5", "?x4"}));
  EXPECT_TRUE(refuses(with_shapes({1, 4}, {-1, 4}, {16, 4}), {"\"x\"", "?x4"}));
}

TEST_F(BuilderErrorTest, MinOptMaxOutOfOrder) {
  EXPECT_TRUE(refuses(with_shapes({8, 4}, {4, 4}, {16, 4}), {"shapes: TensorRT refuses"}));
  EXPECT_TRUE(refuses(with_shapes({1, 4}, {32, 4}, {16, 4}), {"shapes: TensorRT refuses"}));
}

TEST_F(BuilderErrorTest, UnknownOperatorIsNamedWithItsNode) {
  std::string const path = write(test::onnx_model(test::small_graph("2", "NoSuchOp", "my.domain")));
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {path, "node \"dense/act\" (operator NoSuchOp)", "TensorRT-RTX 1.7"},
                     [&] { build(library(), path, {}); }));
}

TEST_F(BuilderErrorTest, AnInvalidGraphIsRefused) {
  test::GraphText graph = test::small_graph("2");
  graph.nodes[1].inputs = {"no_such_tensor"};
  std::string const path = write(test::onnx_model(graph));
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {path, "cannot parse"}, [&] { build(library(), path, {}); }));
}

TEST_F(BuilderErrorTest, MissingAndDamagedFiles) {
  EXPECT_TRUE(throws(ErrorKind::kOnnx, {"/no/such/m.onnx", "no such file"},
                     [&] { build(library(), "/no/such/m.onnx", usual()); }));
  std::string const bytes = test::onnx_model(test::small_graph());
  for (std::string const& damaged : {std::string(), bytes.substr(0, bytes.size() - 1), bytes.substr(0, 20)}) {
    std::string const path = write(damaged);
    EXPECT_TRUE(throws(ErrorKind::kOnnx, {path}, [&] { build(library(), path, usual()); })) << damaged.size();
  }
}

// TensorRT's own setter has no result and only logs.
TEST_F(BuilderErrorTest, OptimizationLevelOutOfRange) {
  BuilderOptions options = usual();
  options.optimization_level = -3;
  EXPECT_TRUE(refuses(options, {"-3", "0 to 5"}));
}

TEST_F(BuilderErrorTest, AnErrorDoesNotSpoilTheNextBuild) {
  EXPECT_TRUE(refuses({}, {"dynamic"}));
  EXPECT_GT(build(library(), small(), usual()).size(), 28U);
}

}  // namespace
}  // namespace tf2trt
