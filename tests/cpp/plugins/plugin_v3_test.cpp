// An operator as TensorRT 10 and 11 meet it.
#include "sdk/plugin_v3.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/expressions.hpp"
#include "support/plugin_fields.hpp"
#include "support/test_operator.hpp"

namespace tf2trt::plugins {
namespace {

using test::Fields;
using test::make_test_operator;
using test::TestOperator;
using Desc = DynamicTensorDesc10;
using Owned = std::unique_ptr<PluginV3>;

constexpr std::int64_t kLarge = 1'099'511'627'776;  // past 32 bits
constexpr std::int32_t kBuildPhase = 1;             // nvinfer1::TensorRTPhase
constexpr std::int32_t kRunPhase = 2;

class PluginV3Test : public testing::Test {
 protected:
  PluginV3Test() { TestOperator::notes() = {}; }
  void SetUp() override { creator_ = std::make_unique<CreatorV3>(&make_test_operator); }
  void TearDown() override {
    TestOperator::notes().throws_in = "";
    creator_.reset();
    EXPECT_EQ(TestOperator::notes().live, 0);
  }
  [[nodiscard]] Owned create(Fields const& fields = {}) const {
    return Owned(creator_->createPlugin("layer", &fields.get(), kBuildPhase));
  }
  // As TensorRT asks for them; their classes are known by nvinfer1::PluginCapabilityType.
  static CoreV3& core(PluginV3& plugin) { return static_cast<CoreV3&>(*plugin.getCapabilityInterface(0)); }
  static BuildV3& builder(PluginV3& plugin) { return static_cast<BuildV3&>(*plugin.getCapabilityInterface(1)); }
  static RuntimeV3& runtime(PluginV3& plugin) { return static_cast<RuntimeV3&>(*plugin.getCapabilityInterface(2)); }
  static auto values_of(PluginV3& plugin) { return test::values_of(*runtime(plugin).getFieldsToSerialize()); }

  std::unique_ptr<CreatorV3> creator_;
};

void expect_interface(Versioned const& object, std::string const& kind) {
  EXPECT_EQ(object.getAPILanguage(), abi::kApiLanguageCpp);
  EXPECT_EQ(object.getInterfaceInfo().kind, kind);
  EXPECT_EQ(object.getInterfaceInfo().major, 1);
  EXPECT_EQ(object.getInterfaceInfo().minor, 0);
}

TEST_F(PluginV3Test, TheCreatorSaysWhatItMakes) {
  expect_interface(*creator_, "PLUGIN CREATOR_V3ONE");
  EXPECT_STREQ(creator_->getPluginName(), "TestOperator");
  EXPECT_STREQ(creator_->getPluginVersion(), "7");
  EXPECT_STREQ(creator_->getPluginNamespace(), "tests");
  TestOperator op;
  ASSERT_NE(creator_->getFieldNames(), nullptr);
  EXPECT_EQ(test::values_of(*creator_->getFieldNames()), test::values_of(fields_of(op.attributes())));
}

TEST_F(PluginV3Test, EveryInterfaceSaysWhatItIs) {
  Owned const plugin = create();
  ASSERT_NE(plugin, nullptr);
  expect_interface(*plugin, "PLUGIN");
  expect_interface(core(*plugin), "PLUGIN_V3ONE_CORE");
  expect_interface(builder(*plugin), "PLUGIN_V3ONE_BUILD");
  expect_interface(runtime(*plugin), "PLUGIN_V3ONE_RUNTIME");
  EXPECT_EQ(plugin->getCapabilityInterface(3), nullptr);
  EXPECT_EQ(plugin->getCapabilityInterface(-1), nullptr);
  EXPECT_STREQ(core(*plugin).getPluginName(), "TestOperator");
  EXPECT_STREQ(core(*plugin).getPluginVersion(), "7");
  EXPECT_STREQ(core(*plugin).getPluginNamespace(), "tests");
  EXPECT_EQ(builder(*plugin).getNbOutputs(), 2);
}

TEST_F(PluginV3Test, NoFieldsAreTheDefaults) {
  TestOperator op;
  for (std::int32_t const phase : {kBuildPhase, kRunPhase}) {
    Owned const plugin(creator_->createPlugin("layer", nullptr, phase));
    ASSERT_NE(plugin, nullptr);
    EXPECT_EQ(values_of(*plugin), test::values_of(fields_of(op.attributes())));
  }
}

TEST_F(PluginV3Test, AttributesLiveThroughCloneContextAndPlan) {
  Fields const fields = Fields()
                            .integers("count", {9})
                            .reals("factor", {-1.5F})
                            .integers("sizes", {})
                            .reals("weights", {1, 2, 3})
                            .text("mode", "mirrored");
  Owned const plugin = create(fields);
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(values_of(*plugin), test::values_of(fields.get()));
  Owned const clone(plugin->clone());
  ASSERT_NE(clone, nullptr);
  EXPECT_EQ(values_of(*clone), test::values_of(fields.get()));
  Owned const again(creator_->createPlugin("layer", runtime(*clone).getFieldsToSerialize(), kRunPhase));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(values_of(*again), test::values_of(fields.get()));
  Owned const attached(runtime(*again).attachToContext(nullptr));
  ASSERT_NE(attached, nullptr);
  EXPECT_NE(attached, again);
  EXPECT_EQ(values_of(*attached), test::values_of(fields.get()));
}

TEST_F(PluginV3Test, AttributesThatMakeNoSenseAreRefused) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(create(Fields().integers("count", {-1})), nullptr);
  EXPECT_EQ(create(Fields().integers("no_such", {1})), nullptr);
  std::string const log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("TestOperator: count: expected 0 or more\n"), std::string::npos) << log;
  EXPECT_NE(log.find("TestOperator: attribute \"no_such\""), std::string::npos) << log;
}

TEST_F(PluginV3Test, OutputTypesAreTheOperators) {
  Owned const plugin = create();
  std::int32_t const types[] = {1, 0};
  std::int32_t outputs[] = {-5, -5, -5};
  EXPECT_EQ(builder(*plugin).getOutputDataTypes(outputs, 2, types, 2), 0);
  EXPECT_EQ(outputs[0], 1);
  EXPECT_EQ(outputs[1], 0);
  EXPECT_EQ(outputs[2], -5);
  EXPECT_EQ(TestOperator::notes().types, (std::vector<DataType>{DataType::kFloat16, DataType::kFloat32}));
}

TEST_F(PluginV3Test, OutputShapesAreFormulas) {
  Owned const plugin = create();
  test::Expressions<std::int64_t> expressions;
  DimsExprs const inputs[] = {expressions.shape({"h", "w"}), expressions.shape({"k", "5"})};
  std::vector<DimsExprs> outputs(2);
  EXPECT_EQ(builder(*plugin).getOutputShapes(inputs, 2, nullptr, 0, outputs.data(), 2, expressions.builder()), 0);
  EXPECT_EQ(expressions.text_of(outputs[0]), (std::vector<std::string>{"(h + k)", "(w * 3)"}));
  EXPECT_EQ(expressions.text_of(outputs[1]),
            (std::vector<std::string>{"(h - k)", "(h // k)", "(h ceil k)", "(h max k)", "(h min k)", "6", "5"}));
}

// Position by position, as TensorRT asks: what lies behind the position is not there yet.
TEST_F(PluginV3Test, FormatsAreAskedWithTheTensorsUpToThePosition) {
  Owned const plugin = create();
  std::vector<Desc> tensors(4);
  for (std::int32_t i = 0; i < 4; ++i) {
    tensors[static_cast<std::size_t>(i)].desc = {{3, {-1, kLarge, i}}, 1, 2, 0.5F};
  }
  tensors[3].desc.type = 0;
  for (std::int32_t position = 0; position < 4; ++position) {
    EXPECT_EQ(builder(*plugin).supportsFormatCombination(position, tensors.data(), 2, 2), position < 3);
    EXPECT_EQ(TestOperator::notes().index, position);
    auto const& seen = TestOperator::notes().tensors;
    ASSERT_EQ(seen.size(), static_cast<std::size_t>(position) + 1);
    EXPECT_EQ(seen.back().rank, 3);
    EXPECT_EQ(seen.back().dims[0], -1);
    EXPECT_EQ(seen.back().dims[1], kLarge);
    EXPECT_EQ(seen.back().dims[2], position);
    EXPECT_EQ(seen.front().type, DataType::kFloat16);
    EXPECT_EQ(seen.back().format, Format::kHwc8);
    EXPECT_EQ(seen.back().scale, 0.5F);
  }
}

TEST_F(PluginV3Test, AnotherNumberOfTensorsIsRefused) {
  Owned const plugin = create();
  std::vector<Desc> const tensors(4);
  EXPECT_TRUE(builder(*plugin).supportsFormatCombination(0, tensors.data(), 2, 2));
  EXPECT_FALSE(builder(*plugin).supportsFormatCombination(0, tensors.data(), 3, 2));
  EXPECT_FALSE(builder(*plugin).supportsFormatCombination(0, tensors.data(), 2, 3));
}

TEST_F(PluginV3Test, WorkspaceIsAskedWithAllTensors) {
  Owned const plugin = create();
  std::vector<Desc> tensors(4);
  for (std::int32_t i = 0; i < 4; ++i) tensors[static_cast<std::size_t>(i)].desc.dims = {1, {kLarge + i}};
  EXPECT_EQ(builder(*plugin).getWorkspaceSize(tensors.data(), 2, tensors.data() + 2, 2), TestOperator::kWorkspace);
  auto const& seen = TestOperator::notes().tensors;
  ASSERT_EQ(seen.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(seen[i].dims[0], kLarge + static_cast<std::int64_t>(i));
}

TEST_F(PluginV3Test, EnqueuePassesAllThrough) {
  Owned const plugin = create();
  DescV3 const inputs[] = {{{2, {3, kLarge}}, 0, 0, 1}, {{1, {5}}, 1, 4, 2}};
  DescV3 const outputs[] = {{{8, {1, 2, 3, 4, 5, 6, 7, kLarge}}, 0, 0, 1}, {{0, {}}, 7, 0, 1}};
  char memory[6];
  void const* in[] = {&memory[0], &memory[1]};
  void* out[] = {&memory[2], &memory[3]};
  for (int const status : {0, 700}) {
    TestOperator::notes().status = status;
    EXPECT_EQ(runtime(*plugin).enqueue(inputs, outputs, in, out, &memory[4], &memory[5]), status);
  }
  auto const& seen = TestOperator::notes();
  EXPECT_EQ(seen.inputs, (std::vector<void const*>{in[0], in[1]}));
  EXPECT_EQ(seen.outputs, (std::vector<void*>{out[0], out[1]}));
  EXPECT_EQ(seen.workspace, &memory[4]);
  EXPECT_EQ(seen.stream, &memory[5]);
  EXPECT_EQ(seen.tensors[0].rank, 2);
  EXPECT_EQ(seen.tensors[0].dims[1], kLarge);
  EXPECT_EQ(seen.tensors[1].type, DataType::kFloat16);
  EXPECT_EQ(seen.tensors[1].format, Format::kChw16);
  EXPECT_EQ(seen.tensors[1].scale, 2);
  EXPECT_EQ(seen.tensors[2].rank, 8);
  EXPECT_EQ(seen.tensors[2].dims[7], kLarge);
  EXPECT_EQ(seen.tensors[3].rank, 0);
  EXPECT_EQ(seen.tensors[3].type, DataType::kBfloat16);
}

TEST_F(PluginV3Test, WhatIsNotUsedAnswersAsNvidiasDefaultsDo) {
  Owned const plugin = create();
  EXPECT_EQ(builder(*plugin).configurePlugin(nullptr, 0, nullptr, 0), 0);
  EXPECT_EQ(builder(*plugin).getNbTactics(), 0);
  EXPECT_EQ(builder(*plugin).getValidTactics(nullptr, 0), 0);
  EXPECT_EQ(builder(*plugin).getTimingCacheID(), nullptr);
  EXPECT_EQ(builder(*plugin).getMetadataString(), nullptr);
  EXPECT_GT(builder(*plugin).getFormatCombinationLimit(), 0);
  EXPECT_EQ(runtime(*plugin).setTactic(0), 0);
  EXPECT_EQ(runtime(*plugin).onShapeChange(nullptr, 0, nullptr, 0), 0);
}

}  // namespace
}  // namespace tf2trt::plugins
