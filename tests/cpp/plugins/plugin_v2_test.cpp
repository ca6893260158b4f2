// An operator as TensorRT 8 meets it.
#include "sdk/plugin_v2.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/expressions.hpp"
#include "support/plugin_fields.hpp"
#include "support/test_operator.hpp"

namespace tf2trt::plugins {
namespace {

using test::Fields;
using test::make_test_operator;
using test::TestOperator;
using Desc = PluginV2::Desc;

// TensorRT's own way to be rid of a plugin.
struct Destroy {
  void operator()(PluginV2* plugin) const noexcept { plugin->destroy(); }
};
using Owned = std::unique_ptr<PluginV2, Destroy>;

class PluginV2Test : public testing::Test {
 protected:
  PluginV2Test() { TestOperator::notes() = {}; }
  void SetUp() override { creator_ = std::make_unique<CreatorV2>(&make_test_operator); }
  void TearDown() override {
    TestOperator::notes().throws_in = "";
    creator_.reset();
    EXPECT_EQ(TestOperator::notes().live, 0);
  }
  [[nodiscard]] Owned create(Fields const& fields) const {
    return Owned(creator_->createPlugin("layer", &fields.get()));
  }
  [[nodiscard]] Owned create() const { return create({}); }
  static Fields other_values() {
    return Fields()
        .integers("count", {9})
        .reals("factor", {-1.5F})
        .integers("sizes", {})
        .reals("weights", {1, 2, 3})
        .text("mode", "mirrored");
  }
  static std::vector<char> bytes_of(PluginV2 const& plugin) {
    std::vector<char> bytes(plugin.getSerializationSize() + 1, '#');
    plugin.serialize(bytes.data());
    EXPECT_EQ(bytes.back(), '#');  // no more than it said
    bytes.pop_back();
    return bytes;
  }
  // What a plugin holds: its bytes, read back.
  static auto values_of(PluginV2 const& plugin) {
    auto const bytes = bytes_of(plugin);
    TestOperator op;
    unpack(op.attributes(), bytes.data(), bytes.size());
    return test::values_of(fields_of(op.attributes()));
  }

  std::unique_ptr<CreatorV2> creator_;
};

TEST_F(PluginV2Test, TheCreatorSaysWhatItMakes) {
  EXPECT_STREQ(creator_->getPluginName(), "TestOperator");
  EXPECT_STREQ(creator_->getPluginVersion(), "7");
  EXPECT_STREQ(creator_->getPluginNamespace(), "tests");
  EXPECT_EQ(creator_->getTensorRTVersion(), 8500);
  TestOperator op;
  ASSERT_NE(creator_->getFieldNames(), nullptr);
  EXPECT_EQ(test::values_of(*creator_->getFieldNames()), test::values_of(fields_of(op.attributes())));
}

TEST_F(PluginV2Test, APluginSaysWhatItIs) {
  Owned const plugin = create();
  ASSERT_NE(plugin, nullptr);
  EXPECT_STREQ(plugin->getPluginType(), "TestOperator");
  EXPECT_STREQ(plugin->getPluginVersion(), "7");
  EXPECT_EQ(plugin->getNbOutputs(), 2);
  EXPECT_EQ(static_cast<unsigned>(plugin->getTensorRTVersion()) >> 24U, 3U);  // PluginVersion::kV2_DYNAMICEXT
  EXPECT_EQ(plugin->getTensorRTVersion() & 0xFFFFFF, 8500);
  EXPECT_EQ(plugin->initialize(), 0);
  plugin->terminate();
}

TEST_F(PluginV2Test, NoFieldsAreTheDefaults) {
  TestOperator op;
  Owned const plugin(creator_->createPlugin("layer", nullptr));
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(values_of(*plugin), test::values_of(fields_of(op.attributes())));
  EXPECT_EQ(values_of(*create()), values_of(*plugin));
}

TEST_F(PluginV2Test, AttributesLiveThroughCloneAndPlan) {
  Fields const fields = other_values();
  Owned const plugin = create(fields);
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(values_of(*plugin), test::values_of(fields.get()));
  Owned const clone(plugin->clone());
  ASSERT_NE(clone, nullptr);
  EXPECT_EQ(values_of(*clone), values_of(*plugin));
  auto const bytes = bytes_of(*clone);
  Owned const again(creator_->deserializePlugin("layer", bytes.data(), bytes.size()));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(bytes_of(*again), bytes);
  EXPECT_EQ(values_of(*again), test::values_of(fields.get()));
}

TEST_F(PluginV2Test, AttributesThatMakeNoSenseAreRefused) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(create(Fields().integers("count", {-1})), nullptr);
  EXPECT_EQ(create(Fields().integers("no_such", {1})), nullptr);
  EXPECT_EQ(creator_->deserializePlugin("layer", "T2P1", 4), nullptr);
  EXPECT_EQ(creator_->deserializePlugin("layer", nullptr, 0), nullptr);
  std::int32_t count = -1;
  auto const bytes = pack({{"count", &count}});
  EXPECT_EQ(creator_->deserializePlugin("layer", bytes.data(), bytes.size()), nullptr);
  std::string const log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("TestOperator: count: expected 0 or more\n"), std::string::npos) << log;
  EXPECT_NE(log.find("TestOperator: attribute \"no_such\""), std::string::npos) << log;
  EXPECT_NE(log.find("TestOperator: the plugin's data is truncated"), std::string::npos) << log;
}

TEST_F(PluginV2Test, TheNamespaceIsTheCreatorsUnlessTensorRTSetsAnother) {
  EXPECT_STREQ(create()->getPluginNamespace(), "tests");
  creator_->setPluginNamespace("elsewhere");
  EXPECT_STREQ(creator_->getPluginNamespace(), "elsewhere");
  Owned const plugin = create();
  EXPECT_STREQ(plugin->getPluginNamespace(), "elsewhere");
  plugin->setPluginNamespace("another");
  EXPECT_STREQ(Owned(plugin->clone())->getPluginNamespace(), "another");
  EXPECT_STREQ(creator_->getPluginNamespace(), "elsewhere");
  plugin->setPluginNamespace(nullptr);
  EXPECT_STREQ(plugin->getPluginNamespace(), "");
}

TEST_F(PluginV2Test, OutputTypesAreTheOperators) {
  Owned const plugin = create();
  std::int32_t const types[] = {0, 1};
  EXPECT_EQ(plugin->getOutputDataType(0, types, 2), 0);
  EXPECT_EQ(plugin->getOutputDataType(1, types, 2), 1);
  EXPECT_EQ(TestOperator::notes().types, (std::vector<DataType>{DataType::kFloat32, DataType::kFloat16}));
}

TEST_F(PluginV2Test, OutputShapesAreFormulas) {
  Owned const plugin = create();
  test::Expressions<std::int32_t> expressions;
  DimsExprs const inputs[] = {expressions.shape({"h", "w"}), expressions.shape({"k", "5"})};
  auto const first = plugin->getOutputDimensions(0, inputs, 2, expressions.builder());
  EXPECT_EQ(expressions.text_of(first), (std::vector<std::string>{"(h + k)", "(w * 3)"}));
  EXPECT_EQ(TestOperator::notes().index, 0);
  auto const second = plugin->getOutputDimensions(1, inputs, 2, expressions.builder());
  EXPECT_EQ(expressions.text_of(second),
            (std::vector<std::string>{"(h - k)", "(h // k)", "(h ceil k)", "(h max k)", "(h min k)", "6", "5"}));
}

// Position by position, as TensorRT 8 asks: what lies behind the position is not there yet.
TEST_F(PluginV2Test, FormatsAreAskedWithTheTensorsUpToThePosition) {
  Owned const plugin = create();
  std::vector<Desc> tensors(4);
  for (std::int32_t i = 0; i < 4; ++i) {
    tensors[static_cast<std::size_t>(i)] = {{3, {-1, 2147483647, i}}, 1, 2, 0.5F};
  }
  tensors[3].type = 0;
  for (std::int32_t position = 0; position < 4; ++position) {
    EXPECT_EQ(plugin->supportsFormatCombination(position, tensors.data(), 2, 2), position < 3);
    EXPECT_EQ(TestOperator::notes().index, position);
    auto const& seen = TestOperator::notes().tensors;
    ASSERT_EQ(seen.size(), static_cast<std::size_t>(position) + 1);
    EXPECT_EQ(seen.back().rank, 3);
    EXPECT_EQ(seen.back().dims[0], -1);
    EXPECT_EQ(seen.back().dims[1], 2147483647);
    EXPECT_EQ(seen.back().dims[2], position);
    EXPECT_EQ(seen.front().type, DataType::kFloat16);
    EXPECT_EQ(seen.back().format, Format::kHwc8);
    EXPECT_EQ(seen.back().scale, 0.5F);
  }
}

TEST_F(PluginV2Test, AnotherNumberOfTensorsIsRefused) {
  Owned const plugin = create();
  std::vector<Desc> const tensors(4);
  EXPECT_TRUE(plugin->supportsFormatCombination(0, tensors.data(), 2, 2));
  EXPECT_FALSE(plugin->supportsFormatCombination(0, tensors.data(), 1, 2));
  EXPECT_FALSE(plugin->supportsFormatCombination(0, tensors.data(), 2, 1));
}

TEST_F(PluginV2Test, WorkspaceIsAskedWithAllTensors) {
  Owned const plugin = create();
  std::vector<Desc> tensors(4);
  for (std::int32_t i = 0; i < 4; ++i) tensors[static_cast<std::size_t>(i)].dims = {1, {i + 10}};
  EXPECT_EQ(plugin->getWorkspaceSize(tensors.data(), 2, tensors.data() + 2, 2), TestOperator::kWorkspace);
  auto const& seen = TestOperator::notes().tensors;
  ASSERT_EQ(seen.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(seen[i].dims[0], static_cast<std::int64_t>(i) + 10);
}

TEST_F(PluginV2Test, EnqueuePassesAllThrough) {
  Owned const plugin = create();
  Desc const inputs[] = {{{2, {3, 4}}, 0, 0, 1}, {{1, {5}}, 1, 4, 2}};
  Desc const outputs[] = {{{8, {1, 2, 3, 4, 5, 6, 7, 8}}, 0, 0, 1}, {{0, {}}, 7, 0, 1}};
  char memory[6];
  void const* in[] = {&memory[0], &memory[1]};
  void* out[] = {&memory[2], &memory[3]};
  for (int const status : {0, 700}) {
    TestOperator::notes().status = status;
    EXPECT_EQ(plugin->enqueue(inputs, outputs, in, out, &memory[4], &memory[5]), status);
  }
  auto const& seen = TestOperator::notes();
  EXPECT_EQ(seen.inputs, (std::vector<void const*>{in[0], in[1]}));
  EXPECT_EQ(seen.outputs, (std::vector<void*>{out[0], out[1]}));
  EXPECT_EQ(seen.workspace, &memory[4]);
  EXPECT_EQ(seen.stream, &memory[5]);
  EXPECT_EQ(seen.tensors[0].rank, 2);
  EXPECT_EQ(seen.tensors[0].dims[1], 4);
  EXPECT_EQ(seen.tensors[1].type, DataType::kFloat16);
  EXPECT_EQ(seen.tensors[1].format, Format::kChw16);
  EXPECT_EQ(seen.tensors[1].scale, 2);
  EXPECT_EQ(seen.tensors[2].rank, 8);
  EXPECT_EQ(seen.tensors[2].dims[7], 8);
  EXPECT_EQ(seen.tensors[3].rank, 0);
  EXPECT_EQ(seen.tensors[3].type, DataType::kBfloat16);
}

TEST_F(PluginV2Test, DescriptionsOfNoSenseStayWithinTheirArrays) {
  Owned const plugin = create();
  Desc const inputs[] = {{{-1, {}}, 0, 0, 1}, {{100, {}}, 0, 0, 1}};
  void const* in[] = {nullptr, nullptr};
  void* out[] = {nullptr, nullptr};
  EXPECT_EQ(plugin->enqueue(inputs, inputs, in, out, nullptr, nullptr), 0);
  EXPECT_EQ(TestOperator::notes().tensors[0].rank, 0);
  EXPECT_EQ(TestOperator::notes().tensors[1].rank, 8);
}

// What TensorRT calls only on plugins without dynamic shapes answers without harm.
TEST_F(PluginV2Test, TheOldFunctionsDoNothing) {
  Owned const plugin = create();
  EXPECT_EQ(plugin->getOutputDimensions(0, nullptr, 0).count, -1);
  EXPECT_FALSE(plugin->supportsFormat(0, 0));
  EXPECT_EQ(plugin->getWorkspaceSize(1), 0U);
  EXPECT_NE(plugin->enqueue(1, nullptr, nullptr, nullptr, nullptr), 0);
  EXPECT_FALSE(plugin->isOutputBroadcastAcrossBatch(0, nullptr, 0));
  plugin->attachToContext(nullptr, nullptr, nullptr);
  plugin->detachFromContext();
  plugin->configurePlugin(nullptr, 0, nullptr, 0);
}

}  // namespace
}  // namespace tf2trt::plugins
