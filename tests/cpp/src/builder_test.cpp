#include "tf2trt/builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/errors.hpp"
#include "support/rtx.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt {
namespace {

using test::throws;
using BuilderTest = test::RtxTest;

TEST_F(BuilderTest, BuildsAPlanWithADynamicBatch) {
  int const before = abi::live_objects();
  {
    BuildResult const result = build(library(), small(), usual());
    EXPECT_EQ(read_plan_header(result.data(), result.size()).version_text(), "1.7.1");
    EXPECT_TRUE(throws(ErrorKind::kEngine, {"truncated"}, [&] { read_plan_header(result.data(), result.size() - 1); }));
    EXPECT_GT(result.seconds, 0);
    EXPECT_EQ(abi::live_objects(), before + 1);  // the plan's memory
  }
  EXPECT_EQ(abi::live_objects(), before);
}

TEST_F(BuilderTest, TellsInputsOutputsAndTypes) {
  BuildResult const result = build(library(), small(), usual());
  ASSERT_EQ(result.inputs.size(), 1U);
  EXPECT_EQ(result.inputs[0].name, "x");
  EXPECT_EQ(result.inputs[0].dtype, DType::kFloat32);
  EXPECT_EQ(result.inputs[0].shape, (Shape{-1, 4}));
  EXPECT_TRUE(result.inputs[0].is_input);
  ASSERT_EQ(result.outputs.size(), 1U);
  EXPECT_EQ(result.outputs[0].name, "y");
  EXPECT_EQ(result.outputs[0].shape, (Shape{-1, 3}));
  EXPECT_FALSE(result.outputs[0].is_input);
  ASSERT_EQ(result.layer_types.count("float32"), 1U);
  EXPECT_GE(result.layer_types.at("float32"), 2);
}

TEST_F(BuilderTest, TellsTheNetworksLayers) {
  BuildResult const result = build(library(), small(), usual());
  auto const matmul = std::find_if(result.network_layers.begin(), result.network_layers.end(),
                                   [](NetworkLayer const& layer) { return layer.kind == "matrix_multiply"; });
  ASSERT_NE(matmul, result.network_layers.end());
  EXPECT_FALSE(matmul->name.empty());
  ASSERT_EQ(matmul->inputs.size(), 2U);
  EXPECT_EQ(matmul->inputs[0], std::make_pair(std::string("x"), DType::kFloat32));
  ASSERT_EQ(matmul->outputs.size(), 1U);
  EXPECT_EQ(matmul->outputs[0].second, DType::kFloat32);
  std::size_t outputs = 0;
  for (auto const& [dtype, count] : result.layer_types) outputs += static_cast<std::size_t>(count);
  EXPECT_EQ(outputs, result.network_layers.size());
}

TEST_F(BuilderTest, AStaticModelNeedsNoProfile) {
  BuildResult const result = build(library(), write(test::onnx_model(test::small_graph("2"))), {});
  EXPECT_EQ(result.inputs[0].shape, (Shape{2, 4}));
  EXPECT_EQ(result.outputs[0].shape, (Shape{2, 3}));
}

TEST_F(BuilderTest, SeveralProfiles) {
  BuilderOptions options = usual();
  options.profiles.push_back({{"x", {{32, 4}, {32, 4}, {64, 4}}}});
  EXPECT_GT(build(library(), small(), options).size(), 28U);
}

TEST_F(BuilderTest, CopiesOfAResultShareThePlan) {
  BuildResult copy = build(library(), small(), usual());
  void const* data = copy.data();
  {
    BuildResult const other = copy;
    EXPECT_EQ(other.data(), data);
    copy = build(library(), small(), usual());
    EXPECT_EQ(read_plan_header(other.data(), other.size()).version_text(), "1.7.1");
    EXPECT_EQ(abi::live_objects(), 2);
  }
  EXPECT_EQ(abi::live_objects(), 1);
}

TEST_F(BuilderTest, TheTimingCacheComesBackAndCanBeGivenAgain) {
  BuilderOptions options = usual();
  BuildResult const first = build(library(), small(), options);
  ASSERT_FALSE(first.timing_cache.empty());
  options.timing_cache = first.timing_cache;
  BuildResult const second = build(library(), small(), options);
  EXPECT_FALSE(second.timing_cache.empty());
}

TEST_F(BuilderTest, ATimingCacheOfSomethingElseDoesNotMatter) {
  BuilderOptions options = usual();
  for (std::string const& bytes : {std::string("garbage"), std::string(1000, '\0')}) {
    options.timing_cache.assign(bytes.begin(), bytes.end());
    BuildResult const result = build(library(), small(), options);
    EXPECT_GT(result.size(), 28U);
    EXPECT_FALSE(result.log.empty());
    EXPECT_FALSE(result.timing_cache.empty());
  }
}

TEST_F(BuilderTest, EveryPrecisionIsTaken) {
  for (auto const precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16, Precision::kInt8,
                               Precision::kInt8Fp16}) {
    BuilderOptions options = usual();
    options.precision = precision;
    EXPECT_GT(build(library(), small(), options).size(), 28U) << static_cast<int>(precision);
  }
}

TEST_F(BuilderTest, WorkspaceIsTaken) {
  std::string const path = small();
  BuilderOptions options = usual();
  options.workspace = std::size_t{1} << 26U;
  EXPECT_GT(build(library(), path, options).size(), 28U);
  options.workspace = 1;
  EXPECT_TRUE(throws(ErrorKind::kBuild, {path, "could not build it", "TensorRT: ", "workspace limit"},
                     [&] { build(library(), path, options); }));
}

TEST_F(BuilderTest, OptimizationLevelIsTaken) {
  for (int const level : {0, 3, 5}) {
    BuilderOptions options = usual();
    options.optimization_level = level;
    EXPECT_GT(build(library(), small(), options).size(), 28U) << level;
  }
}

// TensorRT-RTX takes the flag and builds the same plan.
TEST_F(BuilderTest, VersionCompatibleIsTaken) {
  BuilderOptions options = usual();
  options.version_compatible = true;
  BuildResult const result = build(library(), small(), options);
  EXPECT_EQ(read_plan_header(result.data(), result.size()).version_text(), "1.7.1");
  EXPECT_TRUE(result.log.empty()) << result.log.front().text;
}

TEST_F(BuilderTest, TwoThreadsBuildAtTheSameTime) {
  std::string const path = small();
  std::size_t sizes[2] = {0, 0};
  auto const work = [&](std::size_t i) { sizes[i] = build(library(), path, usual()).size(); };
  std::thread first(work, 0);
  std::thread second(work, 1);
  first.join();
  second.join();
  EXPECT_GT(sizes[0], 28U);
  EXPECT_EQ(sizes[0], sizes[1]);
}

}  // namespace
}  // namespace tf2trt
