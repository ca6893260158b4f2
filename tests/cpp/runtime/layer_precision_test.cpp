// BuilderOptions::layer_precision, on the fake TensorRT of every generation.
#include "layer_precision.hpp"

#include "support/fake_builder_fixture.hpp"

namespace tf2trt {
namespace {

using test::Calls;

class LayerPrecisionTest : public test::FakeBuilderTest {
 protected:
  void SetUp() override {
    FakeBuilderTest::SetUp();
    fake_->layers = {{"block1/conv", "kCONVOLUTION", {{"a"}}},
                     {"block1/relu", "kACTIVATION", {{"b"}}},
                     {"block2/conv", "kCONVOLUTION", {{"c"}}},
                     {"(Unnamed Layer* 3) [Shuffle]", "kSHUFFLE", {{"d"}}},
                     {"top", "kTOPK", {{"values"}, {"indices", "kINT32"}}}};
  }
  BuildResult build_with(std::vector<LayerPrecision> const& wanted, Precision precision = Precision::kFp16) {
    BuilderOptions options = usual(precision);
    options.layer_precision = wanted;
    return build(options);
  }
  testing::AssertionResult refuses_with(std::vector<LayerPrecision> const& wanted,
                                        std::vector<std::string> const& words, Precision precision = Precision::kFp16) {
    return test::throws(ErrorKind::kUsage, words, [&] { build_with(wanted, precision); });
  }
  // Precisions and output types, in order.
  [[nodiscard]] Calls types() const {
    Calls found;
    for (auto const& call : fake_->calls) {
      if (call.rfind("setPrecision", 0) == 0 || call.rfind("setOutputType", 0) == 0) found.push_back(call);
    }
    return found;
  }
};

class LayerBf16Test : public LayerPrecisionTest {};

using Set = std::map<std::string, Precision>;

TEST_P(LayerPrecisionTest, OneLayer) {
  BuildResult const result = build_with({{"block1/conv", Precision::kFp32}});
  EXPECT_EQ(types(), (Calls{"setOutputType block1/conv 0 kFLOAT", "setPrecision block1/conv kFLOAT"}));
  EXPECT_EQ(calls("setFlag"), (Calls{"setFlag kFP16", "setFlag kOBEY_PRECISION_CONSTRAINTS"}));
  EXPECT_EQ(result.layer_precisions, (Set{{"block1/conv", Precision::kFp32}}));
}

TEST_P(LayerPrecisionTest, NoListNoConstraints) {
  EXPECT_TRUE(build_with({}).layer_precisions.empty());
  EXPECT_TRUE(types().empty());
  EXPECT_EQ(calls("setFlag"), Calls{"setFlag kFP16"});
}

TEST_P(LayerPrecisionTest, TheLastMatchWins) {
  BuildResult const result =
      build_with({{"*", Precision::kFp32}, {"block?/conv", Precision::kFp16}, {"block2/*", Precision::kFp32}});
  EXPECT_EQ(result.layer_precisions, (Set{{"block1/conv", Precision::kFp16},
                                          {"block1/relu", Precision::kFp32},
                                          {"block2/conv", Precision::kFp32},
                                          {"(Unnamed Layer* 3) [Shuffle]", Precision::kFp32},
                                          {"top", Precision::kFp32}}));
  EXPECT_EQ(
      calls("setPrecision"),
      (Calls{"setPrecision block1/conv kHALF", "setPrecision block1/relu kFLOAT", "setPrecision block2/conv kFLOAT",
             "setPrecision (Unnamed Layer* 3) [Shuffle] kFLOAT", "setPrecision top kFLOAT"}));
}

TEST_P(LayerPrecisionTest, ANameWithBracketsIsAPatternForItself) {
  build_with({{"(Unnamed Layer* 3) [Shuffle]", Precision::kFp32}});
  EXPECT_EQ(calls("setPrecision"), Calls{"setPrecision (Unnamed Layer* 3) [Shuffle] kFLOAT"});
}

// The indices of TopK are integers whatever it computes in.
TEST_P(LayerPrecisionTest, OnlyFloatingOutputsAreSet) {
  build_with({{"top", Precision::kFp32}});
  EXPECT_EQ(types(), (Calls{"setOutputType top 0 kFLOAT", "setPrecision top kFLOAT"}));
}

TEST_P(LayerPrecisionTest, LayersWithoutAChoiceAreLeftAlone) {
  fake_->layers = {{"shape", "kSHAPE", {{"s", "kINT32"}}},      {"values", "kSHUFFLE", {{"v", "kFLOAT", {4}, true}}},
                   {"weights", "kCONSTANT", {{"w"}}},           {"same", "kIDENTITY", {{"i"}}},
                   {"quantize", "kQUANTIZE", {{"q", "kINT8"}}}, {"dequantize", "kDEQUANTIZE", {{"d"}}},
                   {"less", "kELEMENTWISE", {{"l", "kBOOL"}}},  {"conv", "kCONVOLUTION", {{"c", "kHALF"}}}};
  if (number() >= 8600) fake_->layers.push_back({"cast", "kCAST", {{"k"}}});
  BuildResult const result = build_with({{"*", Precision::kFp32}});
  EXPECT_EQ(result.layer_precisions, (Set{{"conv", Precision::kFp32}}));
  EXPECT_EQ(types(), (Calls{"setOutputType conv 0 kFLOAT", "setPrecision conv kFLOAT"}));
}

// Matched, though there is nothing to set.
TEST_P(LayerPrecisionTest, APatternOfSuchALayerIsNoError) {
  fake_->layers.push_back({"weights", "kCONSTANT", {{"w"}}});
  EXPECT_TRUE(build_with({{"weights", Precision::kFp32}}).layer_precisions.empty());
}

// TensorRT may give FP32 out of a layer that computes in INT8, and has to where there is no scale.
TEST_P(LayerPrecisionTest, Int8LeavesTheOutputsType) {
  BuilderOptions options = usual(Precision::kInt8Fp16);
  options.layer_precision = {{"block1/conv", Precision::kInt8}, {"block2/conv", Precision::kFp16}};
  options.calibration.emplace().cache = {'c'};
  BuildResult const result = build(options);
  EXPECT_EQ(types(), (Calls{"setPrecision block1/conv kINT8", "setOutputType block2/conv 0 kHALF",
                            "setPrecision block2/conv kHALF"}));
  EXPECT_EQ(result.layer_precisions, (Set{{"block1/conv", Precision::kInt8}, {"block2/conv", Precision::kFp16}}));
}

TEST_P(LayerBf16Test, From10On) {
  build_with({{"*/conv", Precision::kBf16}, {"block2/*", Precision::kFp32}}, Precision::kBf16);
  EXPECT_EQ(calls("setPrecision"), (Calls{"setPrecision block1/conv kBF16", "setPrecision block2/conv kFLOAT"}));
}

TEST_P(LayerPrecisionTest, APatternWithoutALayerNamesTheNearest) {
  EXPECT_TRUE(refuses_with({{"*", Precision::kFp32}, {"block3/conv", Precision::kFp32}},
                           {"no layer of this name", "block3/conv=fp32", "5 layers",
                            "the nearest names are: block1/conv, block2/conv, block1/relu"}));
  EXPECT_TRUE(refuses_with({{"Block*", Precision::kFp32}}, {"Block*=fp32"}));
  EXPECT_TRUE(types().empty());
}

TEST_P(LayerPrecisionTest, ANetworkWithoutLayers) {
  fake_->layers.clear();
  EXPECT_TRUE(refuses_with({{"*", Precision::kFp32}}, {"*=fp32", "a network with layers"}));
}

TEST_P(LayerPrecisionTest, ATypeThatThePrecisionDoesNotAllow) {
  EXPECT_TRUE(refuses_with({{"*", Precision::kFp16}}, {"precision fp32", "*=fp16"}, Precision::kFp32));
  EXPECT_TRUE(refuses_with({{"*", Precision::kFp16}}, {"precision tf32", "*=fp16"}, Precision::kTf32));
  EXPECT_TRUE(refuses_with({{"*", Precision::kInt8}}, {"*=int8", "fp32, fp16", "int8+fp16"}));
  EXPECT_TRUE(refuses_with({{"*", Precision::kFp16}}, {"*=fp16", "fp32, int8", "int8+fp16"}, Precision::kInt8));
  EXPECT_TRUE(refuses_with({{"*", Precision::kTf32}}, {"*=tf32"}));
  EXPECT_TRUE(fake_->calls.empty());
}

INSTANTIATE_TEST_SUITE_P(Versions, LayerPrecisionTest, testing::Values(8501, 8600, 8601, 100001, 101601));
INSTANTIATE_TEST_SUITE_P(Versions, LayerBf16Test, testing::Values(100001, 101601));

TEST(LayerPrecisionPattern, MatchesAsFnmatchDoes) {
  using detail::matches;
  EXPECT_TRUE(matches("*", "a/b.c"));
  EXPECT_TRUE(matches("a*c", "a/b.c"));
  EXPECT_TRUE(matches("*/.hidden", "a/.hidden"));
  EXPECT_TRUE(matches("*", ".hidden"));
  EXPECT_TRUE(matches("conv[12]", "conv2"));
  EXPECT_FALSE(matches("conv[!12]", "conv2"));
  EXPECT_TRUE(matches("conv?", "conv3"));
  EXPECT_FALSE(matches("conv?", "conv"));
  EXPECT_FALSE(matches("Conv", "conv"));
  EXPECT_FALSE(matches("conv", "conv1"));
  EXPECT_TRUE(matches(R"(a\*)", R"(a\b)"));
  EXPECT_TRUE(matches("[", "["));
  EXPECT_TRUE(matches("", ""));
}

TEST(LayerPrecisionPattern, NearestNames) {
  using detail::nearest_names;
  EXPECT_EQ(nearest_names("conv", {"relu", "conv_1", "convolution", "cov"}, 2), (Calls{"cov", "conv_1"}));
  EXPECT_EQ(nearest_names("", {"bb", "a"}, 5), (Calls{"a", "bb"}));
  EXPECT_TRUE(nearest_names("a", {}, 3).empty());
}

}  // namespace
}  // namespace tf2trt
