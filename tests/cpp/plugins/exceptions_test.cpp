// What an operator throws becomes TensorRT's failure, and a line in the log; here, without a TensorRT, on standard
// error. All functions are noexcept: whatever escaped would end this process.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sdk/guard.hpp"
#include "sdk/plugin_v2.hpp"
#include "sdk/plugin_v3.hpp"
#include "support/expressions.hpp"
#include "support/test_operator.hpp"

namespace tf2trt::plugins {
namespace {

using test::make_test_operator;
using test::TestOperator;

class ExceptionsTest : public testing::Test {
 protected:
  ExceptionsTest() { TestOperator::notes() = {}; }
  void SetUp() override {
    v2_ = CreatorV2(&make_test_operator).createPlugin("", nullptr);
    v3_ = CreatorV3(&make_test_operator).createPlugin("", nullptr, 1);
    build_ = static_cast<BuildV3*>(v3_->getCapabilityInterface(1));
    runtime_ = static_cast<RuntimeV3*>(v3_->getCapabilityInterface(2));
  }
  void TearDown() override {
    TestOperator::notes().throws_in = "";
    v2_->destroy();
    delete v3_;
    EXPECT_EQ(TestOperator::notes().live, 0);
  }
  // The result of `call` while the operator's `function` throws: once an exception, once something odd.
  template <class R, class Call>
  static void expect(char const* function, R const& failure, Call&& call) {
    auto& notes = TestOperator::notes();
    notes.throws_in = function;
    for (bool const odd : {false, true}) {
      notes.throws_odd = odd;
      int const live = notes.live;
      testing::internal::CaptureStderr();
      EXPECT_EQ(call(), failure) << function;
      std::string const log = testing::internal::GetCapturedStderr();
      std::string const what = odd ? "an unknown exception" : std::string("thrown in ") + function;
      EXPECT_EQ(log, "plugin TestOperator: " + what + "\n");
      EXPECT_EQ(notes.live, live) << function;
    }
    notes.throws_in = "";
  }

  PluginV2* v2_ = nullptr;
  PluginV3* v3_ = nullptr;
  BuildV3* build_ = nullptr;
  RuntimeV3* runtime_ = nullptr;
};

TEST_F(ExceptionsTest, InShapes) {
  test::Expressions<std::int32_t> expressions;
  DimsExprs const inputs[] = {expressions.shape({"h", "w"}), expressions.shape({"k", "5"})};
  DimsExprs outputs[2] = {};
  expect("output_shape", -1, [&] { return v2_->getOutputDimensions(0, inputs, 2, expressions.builder()).count; });
  expect("output_shape", -1,
         [&] { return build_->getOutputShapes(inputs, 2, nullptr, 0, outputs, 2, expressions.builder()); });
}

TEST_F(ExceptionsTest, InTypes) {
  std::int32_t const types[] = {0, 0};
  std::int32_t outputs[] = {0, 0};
  expect("output_type", -1, [&] { return v2_->getOutputDataType(0, types, 2); });
  expect("output_type", -1, [&] { return build_->getOutputDataTypes(outputs, 2, types, 2); });
}

TEST_F(ExceptionsTest, InFormats) {
  PluginV2::Desc const old[4] = {};
  DynamicTensorDesc10 const later[4] = {};
  expect("supports", false, [&] { return v2_->supportsFormatCombination(0, old, 2, 2); });
  expect("supports", false, [&] { return build_->supportsFormatCombination(0, later, 2, 2); });
}

TEST_F(ExceptionsTest, InWorkspaces) {
  PluginV2::Desc const old[4] = {};
  DynamicTensorDesc10 const later[4] = {};
  expect("workspace", std::size_t{0}, [&] { return v2_->getWorkspaceSize(old, 2, old + 2, 2); });
  expect("workspace", std::size_t{0}, [&] { return build_->getWorkspaceSize(later, 2, later + 2, 2); });
}

TEST_F(ExceptionsTest, InEnqueue) {
  PluginV2::Desc const old[2] = {};
  DescV3 const later[2] = {};
  void const* const in[2] = {};
  void* const out[2] = {};
  expect("enqueue", true, [&] { return v2_->enqueue(old, old, in, out, nullptr, nullptr) != 0; });
  expect("enqueue", true, [&] { return runtime_->enqueue(later, later, in, out, nullptr, nullptr) != 0; });
}

TEST_F(ExceptionsTest, InClone) {
  expect("clone", static_cast<PluginV2*>(nullptr), [&] { return v2_->clone(); });
  expect("clone", static_cast<PluginV3*>(nullptr), [&] { return v3_->clone(); });
  expect("clone", static_cast<PluginV3*>(nullptr), [&] { return runtime_->attachToContext(nullptr); });
}

TEST_F(ExceptionsTest, InAttributes) {
  CreatorV2 old(&make_test_operator);
  CreatorV3 later(&make_test_operator);
  PluginFieldCollection const none{};
  expect("attributes", std::size_t{0}, [&] { return v2_->getSerializationSize(); });
  expect("attributes", 0, [&] {
    char nothing = '\0';
    v2_->serialize(&nothing);
    return int{nothing};
  });
  expect("attributes", static_cast<PluginV2*>(nullptr), [&] { return old.createPlugin("", &none); });
  expect("attributes", static_cast<PluginV2*>(nullptr), [&] { return old.deserializePlugin("", "T2P1", 4); });
  expect("attributes", static_cast<PluginV3*>(nullptr), [&] { return later.createPlugin("", &none, 1); });
  expect("attributes", static_cast<PluginFieldCollection const*>(nullptr),
         [&] { return runtime_->getFieldsToSerialize(); });
}

// Without an exception of the operator's own.
TEST_F(ExceptionsTest, TensorRTRefusesAFormula) {
  test::Expressions<std::int64_t> expressions;
  expressions.refuses_operations = true;
  DimsExprs const inputs[] = {expressions.shape({"h", "w"}), expressions.shape({"k", "5"})};
  DimsExprs outputs[2] = {};
  testing::internal::CaptureStderr();
  EXPECT_EQ(build_->getOutputShapes(inputs, 2, nullptr, 0, outputs, 2, expressions.builder()), -1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "plugin TestOperator: TensorRT refuses DimensionOperation_kSUM\n");
}

TEST(Guard, TheResultOrTheFailure) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded("who", -1, [] { return 7; }), 7);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(guarded("who", -1, []() -> int { throw std::runtime_error("what"); }), -1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "plugin who: what\n");
}

}  // namespace
}  // namespace tf2trt::plugins
