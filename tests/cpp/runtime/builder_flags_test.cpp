// What each precision tells the builder, for every generation.
#include "support/fake_builder_fixture.hpp"

namespace tf2trt {
namespace {

using test::Calls;
using BuilderFlagsTest = test::FakeBuilderTest;   // all of them
using WeaklyTypedTest = test::FakeBuilderTest;    // 8 and 10: flags decide
using StronglyTypedTest = test::FakeBuilderTest;  // 11 and RTX: the graph does

Calibration no_data() {
  Calibration calibration;
  calibration.cache = {'c'};
  return calibration;
}

TEST_P(BuilderFlagsTest, EachPrecisionHasItsFlags) {
  struct Case {
    Precision precision;
    Calls flags;
  };
  Case const cases[] = {{Precision::kFp32, {"clearFlag kTF32"}},
                        {Precision::kTf32, {}},
                        {Precision::kFp16, {"setFlag kFP16"}},
                        {Precision::kInt8, {"setFlag kINT8"}},
                        {Precision::kInt8Fp16, {"setFlag kFP16", "setFlag kINT8"}}};
  fake_->layers.push_back({"quantize", "kQUANTIZE", {{"q", "kINT8"}}});
  for (auto const& [precision, flags] : cases) {
    fake_->calls.clear();
    build(usual(precision));
    Calls found = calls("clearFlag");
    Calls const set = calls("setFlag");
    found.insert(found.end(), set.begin(), set.end());
    EXPECT_EQ(found, is_strongly_typed() && precision != Precision::kFp32 ? Calls{} : flags) << name_of(precision);
  }
}

TEST_P(BuilderFlagsTest, Bf16IsThereFrom10On) {
  if (is_eight()) {
    EXPECT_TRUE(refuses(ErrorKind::kUsage, usual(Precision::kBf16), {"bf16", "TensorRT 8.", "TensorRT 10"}));
    EXPECT_TRUE(fake_->calls.empty());
    return;
  }
  build(usual(Precision::kBf16));
  EXPECT_EQ(calls("setFlag"), is_strongly_typed() ? Calls{} : Calls{"setFlag kBF16"});
}

// So that the inspector tells names, types and tactics.
TEST_P(BuilderFlagsTest, TheEngineCanBeInspectedInDetail) {
  build(usual());
  EXPECT_EQ(calls("setProfilingVerbosity"), Calls{"setProfilingVerbosity kDETAILED"});
}

TEST_P(WeaklyTypedTest, Int8WithoutScalesIsRefused) {
  for (auto const precision : {Precision::kInt8, Precision::kInt8Fp16}) {
    EXPECT_TRUE(refuses(ErrorKind::kUsage, usual(precision), {"no layer has a scale", "--calib", "Q/DQ"}));
  }
}

TEST_P(StronglyTypedTest, Int8IsTheGraphsMatter) {
  for (auto const precision : {Precision::kInt8, Precision::kInt8Fp16}) {
    EXPECT_EQ(build(usual(precision)).size(), 6U);
  }
}

TEST_P(BuilderFlagsTest, ADequantizeLayerIsAScale) {
  fake_->layers.push_back({"dequantize", "kDEQUANTIZE", {{"d"}}});
  EXPECT_EQ(build(usual(Precision::kInt8)).size(), 6U);
  EXPECT_TRUE(calls("setInt8Calibrator").empty());
}

// As a bisection builds it first: every layer in FP32, whose scales were taken out of the graph.
TEST_P(WeaklyTypedTest, LayersThatAreToBeFp32NeedNoScale) {
  fake_->layers.push_back({"conv", "kCONVOLUTION", {{"c"}}});
  BuilderOptions options = usual(Precision::kInt8);
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"no layer has a scale"}));
  options.layer_precision = {{"*", Precision::kFp32}};
  EXPECT_EQ(build(options).layer_precisions.at("conv"), Precision::kFp32);
  EXPECT_EQ(calls("setFlag"), Calls{"setFlag kOBEY_PRECISION_CONSTRAINTS"});  // with kINT8 and no scale it would fail
  options.layer_precision.push_back({"conv", Precision::kInt8});
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"no layer has a scale"}));
}

TEST_P(WeaklyTypedTest, LayersThatAreToBeFp32AreNoTf32) {
  fake_->layers.push_back({"conv", "kCONVOLUTION", {{"c"}}});
  for (auto const precision : {Precision::kFp16, Precision::kTf32}) {
    for (auto const of_layer : {Precision::kFp32, precision}) {
      if (of_layer == Precision::kTf32) continue;
      fake_->calls.clear();
      BuilderOptions options = usual(precision);
      options.layer_precision = {{"conv", of_layer}};
      build(options);
      bool const cleared = precision == Precision::kFp16 && of_layer == Precision::kFp32;
      EXPECT_EQ(calls("clearFlag"), cleared ? Calls{"clearFlag kTF32"} : Calls{}) << name_of(precision);
    }
  }
}

TEST_P(WeaklyTypedTest, ACalibratorBesideQuantizeLayersIsRefused) {
  fake_->layers.push_back({"quantize", "kQUANTIZE", {{"q", "kINT8"}}});
  BuilderOptions options = usual(Precision::kInt8);
  options.calibration = no_data();
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"calibration", "Q/DQ nodes"}));
}

TEST_P(BuilderFlagsTest, ACalibratorIsForInt8) {
  for (auto const precision : {Precision::kFp32, Precision::kFp16}) {
    BuilderOptions options = usual(precision);
    options.calibration = no_data();
    std::string const words = is_strongly_typed() ? "has no calibrators" : name_of(precision);
    EXPECT_TRUE(refuses(ErrorKind::kUsage, options, {"calibration", words}));
    EXPECT_TRUE(fake_->calls.empty());
  }
}

TEST_P(StronglyTypedTest, ThereAreNoCalibrators) {
  BuilderOptions options = usual(Precision::kInt8);
  options.calibration = no_data();
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options,
                      {is_rtx() ? "TensorRT-RTX 1.7.1" : "TensorRT 11.1.0", "Q/DQ", "tf2trt calibrate"}));
}

TEST_P(StronglyTypedTest, ThereAreNoLayerPrecisions) {
  BuilderOptions options = usual(Precision::kFp16);
  options.layer_precision = {{"conv", Precision::kFp32}};
  EXPECT_TRUE(refuses(ErrorKind::kUsage, options,
                      {is_rtx() ? "TensorRT-RTX 1.7.1" : "TensorRT 11.1.0", "conv=fp32", "set_precision"}));
  EXPECT_TRUE(fake_->calls.empty());
}

TEST(BuilderPrecision, Names) {
  EXPECT_STREQ(name_of(Precision::kTf32), "tf32");
  EXPECT_STREQ(name_of(Precision::kInt8Fp16), "int8+fp16");
}

INSTANTIATE_TEST_SUITE_P(Versions, BuilderFlagsTest, testing::Values(8501, 8600, 8601, 100001, 101601, 110100, 10701));
INSTANTIATE_TEST_SUITE_P(Versions, WeaklyTypedTest, testing::Values(8501, 8600, 8601, 100001, 101601));
INSTANTIATE_TEST_SUITE_P(Versions, StronglyTypedTest, testing::Values(110100, 10701));

}  // namespace
}  // namespace tf2trt
